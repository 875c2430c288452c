# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_memleakctl_global_optspecs
    string join \n h/help V/version
end

function __fish_memleakctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_memleakctl_global_optspecs) -- $cmd 2>/dev/null
    or argparse -s (__fish_memleakctl_global_optspecs) -- $cmd[1..-2] 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_memleakctl_using_subcommand
    set -l cmd (__fish_memleakctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c memleakctl -n "__fish_memleakctl_needs_command" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -s V -l version -d 'Print version'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "status" -d 'Figures of the daemon'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "top" -d 'The fastest growing processes, on the whole screen'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "alerts" -d 'The open alerts'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "show" -d 'One open alert in full'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "ack" -d 'Take note of an open alert, which ends its reminders'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "silence" -d 'Spare people some alerts for a time: no mail, no hook, no notification'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "silences" -d 'The silences that stand, the one that ends first in front'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "unsilence" -d 'Take a silence back'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "test" -d 'Send an alert that is marked as a test, and say whether it got through'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "reload" -d 'Have the configuration read again; one that is wrong is refused with the reason'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "explain" -d 'Why a process is taken for one that leaks, or why not: each gate with its value'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "capture" -d 'Measure what one process allocates and frees, for a time'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "record" -d 'Write down what processes hold, for "memleakd replay" to try rules on'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "report" -d 'All that is known of a leak: every place that allocates, with its stack'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "doctor" -d 'Examine this machine: what is well with memleakd, what is not, and what to do about it'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "demo-leak" -d 'Leak memory on purpose, in a process of its own, to see what memleakd makes of it'
complete -c memleakctl -n "__fish_memleakctl_needs_command" -f -a "check" -d 'Check the configuration, or a file alone, and print what would be in force'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand status" -l json -d 'Print JSON'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand top" -s n -l count -d 'At most so many, up to 100: 20 in a table and 100 on the screen, unless it is said' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand top" -l heap -d 'The processes whose heap is measured: what they allocate and free'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand top" -l kernel -d 'The processes whose kernel memory is measured'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand top" -l once -d 'Print one table and exit'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand top" -l json -d 'Print JSON'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand top" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand alerts" -s w -l watch -d 'Print what happens to them, a line each, until interrupted'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand alerts" -l json -d 'Print JSON'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand alerts" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand show" -l json -d 'Print JSON'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand show" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand ack" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silence" -l for -d 'For how long, such as 1h or 7d' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silence" -s c -l comment -d 'Why, for others to read' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silence" -l unit -d 'The unit or user unit' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silence" -l exe -d 'The path of the executable' -r -F
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silence" -l comm -d 'The name of the process' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silence" -l user -d 'The user, by name or number' -r -f -a "(__fish_complete_users)"
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silence" -l rule -d 'The rule' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silence" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silences" -l json -d 'Print JSON'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silences" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand unsilence" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand test" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand reload" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand explain" -s a -l all -d 'The gates of every lane, and not just of the one that decides'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand explain" -l json -d 'Print JSON'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand explain" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand capture" -l pid -d 'Its process id' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand capture" -l for -d 'For how long, 1s to 10min' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand capture" -l json -d 'Print JSON'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand capture" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand record" -s o -l output -d 'Write it to a file, and not to standard output' -r -F
complete -c memleakctl -n "__fish_memleakctl_using_subcommand record" -l for -d 'For how long; until interrupted if it is not said' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand record" -l interval -d 'How often, 100ms to 1h' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand record" -l pid -d 'This process; may be given several times' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand record" -l unit -d 'What is in such a unit or user unit' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand record" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand report" -l format -d 'How it is given; text, or html into a file whose name ends so' -r -f -a "text\t'For people'
folded\t'Folded stacks, for flamegraph.pl, inferno and speedscope'
pprof\t'A gzipped profile, for go tool pprof'
html\t'A page for a browser, which needs nothing beside it'
svg\t'A flame graph alone, for a browser'
json\t'All that is known, which this command reads again, also on another machine'"
complete -c memleakctl -n "__fish_memleakctl_using_subcommand report" -s o -l output -d 'Write it to a file' -r -F
complete -c memleakctl -n "__fish_memleakctl_using_subcommand report" -l capture -d 'Capture stacks of the process first, for 1s to 10min' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand report" -l json -d 'The same as --format json'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand doctor" -l json -d 'Print JSON'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand demo-leak" -l rate -d 'How fast, 1KiB/min to 1GiB/min' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand demo-leak" -l for -d 'For how long; until interrupted if this is not given' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand demo-leak" -l most -d 'How much it leaks at the most; then it ends' -r -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand demo-leak" -s h -l help -d 'Print help'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand check" -l json -d 'Print JSON'
complete -c memleakctl -n "__fish_memleakctl_using_subcommand check" -s h -l help -d 'Print help'

# What only the machine knows: open alerts, silences, reports and processes. No daemon is started
# for that, and nobody is asked for a password.
function __fish_memleakctl_bus
	busctl --system --no-pager --auto-start=no --allow-interactive-authorization=no --timeout=2 $argv 2>/dev/null
end

function __fish_memleakctl_alerts
	__fish_memleakctl_bus --list tree org.memleakd.Memleakd1 | string replace -rf '^/org/memleakd/Memleakd1/alert/' ''
end

function __fish_memleakctl_silences
	set -l name org.memleakd.Memleakd1
	__fish_memleakctl_bus --json=short call $name /org/memleakd/Memleakd1 $name ListSilences | string match -ar '(?<="Id":\{"type":"s","data":")[0-9]+'
end

function __fish_memleakctl_reports
	for file in /var/lib/memleakd/reports/*.json
		basename $file .json
	end
end

complete -c memleakctl -n "__fish_memleakctl_using_subcommand show" -f -a "(__fish_memleakctl_alerts)"
complete -c memleakctl -n "__fish_memleakctl_using_subcommand ack" -f -a "(__fish_memleakctl_alerts)"
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silence" -f -a "(__fish_memleakctl_alerts)"
complete -c memleakctl -n "__fish_memleakctl_using_subcommand unsilence" -f -a "(__fish_memleakctl_silences)"
complete -c memleakctl -n "__fish_memleakctl_using_subcommand report" -a "(__fish_memleakctl_alerts) (__fish_memleakctl_reports)"
complete -c memleakctl -n "__fish_memleakctl_using_subcommand explain" -f -a "(__fish_complete_pids)"
complete -c memleakctl -n "__fish_memleakctl_using_subcommand capture" -l pid -x -a "(__fish_complete_pids)"
complete -c memleakctl -n "__fish_memleakctl_using_subcommand status" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand top" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand alerts" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand show" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand ack" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silence" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand silences" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand unsilence" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand test" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand test" -f -a journal
complete -c memleakctl -n "__fish_memleakctl_using_subcommand test" -f -a dbus
complete -c memleakctl -n "__fish_memleakctl_using_subcommand test" -f -a desktop
complete -c memleakctl -n "__fish_memleakctl_using_subcommand test" -f -a mail
complete -c memleakctl -n "__fish_memleakctl_using_subcommand test" -f -a alertmanager
complete -c memleakctl -n "__fish_memleakctl_using_subcommand test" -f -a hook
complete -c memleakctl -n "__fish_memleakctl_using_subcommand reload" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand explain" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand capture" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand record" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand doctor" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand demo-leak" -f
complete -c memleakctl -n "__fish_memleakctl_using_subcommand leak-on-purpose" -f
