complete -c memleakd-alertmanager -l config -d 'Reads this configuration file and no other' -r -F
complete -c memleakd-alertmanager -l alerts -d 'The alerts [default: $STATE_DIRECTORY/alertmanager or /var/lib/memleakd/alertmanager]' -r -f -a "(__fish_complete_directories)"
complete -c memleakd-alertmanager -l watch -d 'Stays and posts what comes'
complete -c memleakd-alertmanager -l until-empty -d 'Stays until no alert is left'
complete -c memleakd-alertmanager -s h -l help -d 'Print help'
complete -c memleakd-alertmanager -s V -l version -d 'Print version'
