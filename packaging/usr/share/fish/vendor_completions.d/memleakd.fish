# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_memleakd_global_optspecs
    string join \n config= check output= h/help V/version
end

function __fish_memleakd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_memleakd_global_optspecs) -- $cmd 2>/dev/null
    or argparse -s (__fish_memleakd_global_optspecs) -- $cmd[1..-2] 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_memleakd_using_subcommand
    set -l cmd (__fish_memleakd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c memleakd -n "__fish_memleakd_needs_command" -l config -d 'Read this file alone, instead of /etc/memleakd/memleakd.toml and its drop-ins' -r -F
complete -c memleakd -n "__fish_memleakd_needs_command" -l output -d 'Also write alerts to standard output' -r -f -a "json\t'One JSON object a line'
text\t'Sentences and figures'"
complete -c memleakd -n "__fish_memleakd_needs_command" -l check -d 'Check the configuration, print what is in force, and exit'
complete -c memleakd -n "__fish_memleakd_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c memleakd -n "__fish_memleakd_needs_command" -s V -l version -d 'Print version'
complete -c memleakd -n "__fish_memleakd_needs_command" -f -a "replay" -d 'Run a recorded history through the same rules, as fast as it goes'
complete -c memleakd -n "__fish_memleakd_using_subcommand replay" -l config -d 'Read this file alone, instead of /etc/memleakd/memleakd.toml and its drop-ins' -r -F
complete -c memleakd -n "__fish_memleakd_using_subcommand replay" -l output -d 'Also write alerts to standard output' -r -f -a "json\t'One JSON object a line'
text\t'Sentences and figures'"
complete -c memleakd -n "__fish_memleakd_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
