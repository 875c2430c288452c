
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
