complete -c memleakd-notify -s h -l help -d 'Print help'
complete -c memleakd-notify -s V -l version -d 'Print version'
