
# What only the machine knows: open alerts, silences, reports and processes. No daemon is started
# for that, and nobody is asked for a password.
(( $+functions[_memleakctl_bus] )) ||
_memleakctl_bus() {
    busctl --system --no-pager --auto-start=no --allow-interactive-authorization=no --timeout=2 "$@" 2>/dev/null
}

(( $+functions[_memleakctl_alerts] )) ||
_memleakctl_alerts() {
    local expl
    local -a ids
    ids=( ${(f)"$(_memleakctl_bus --list tree org.memleakd.Memleakd1 | sed -n 's|^/org/memleakd/Memleakd1/alert/||p')"} )
    _wanted alerts expl 'open alert' compadd -a ids
}

(( $+functions[_memleakctl_silences] )) ||
_memleakctl_silences() {
    local expl name=org.memleakd.Memleakd1
    local -a ids
    ids=( ${(f)"$(_memleakctl_bus --json=short call $name /org/memleakd/Memleakd1 $name ListSilences | grep -o '"Id":{"type":"s","data":"[0-9]*"' | tr -cd '0-9\n')"} )
    _wanted silences expl 'silence' compadd -a ids
}

(( $+functions[_memleakctl_processes] )) ||
_memleakctl_processes() {
    local expl
    local -a ids
    ids=( /proc/<->(N:t) )
    _wanted processes expl 'process' compadd -a ids
}

(( $+functions[_memleakctl_reports] )) ||
_memleakctl_reports() {
    local expl
    local -a ids
    ids=( /var/lib/memleakd/reports/*.json(N:t:r) )
    _memleakctl_alerts
    _wanted reports expl 'report' compadd -a ids
    _files
}
