complete -c memleakd-mail -l config -d 'Reads this configuration file and no other' -r -F
complete -c memleakd-mail -l spool -d 'The spool [default: $STATE_DIRECTORY/spool or /var/lib/memleakd/spool]' -r -f -a "(__fish_complete_directories)"
complete -c memleakd-mail -l watch -d 'Stays and sends what comes'
complete -c memleakd-mail -l until-empty -d 'Stays until nothing is left'
complete -c memleakd-mail -s h -l help -d 'Print help'
complete -c memleakd-mail -s V -l version -d 'Print version'
