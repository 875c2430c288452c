
# What only the machine knows: open alerts, silences, reports and processes. No daemon is started
# for that, and nobody is asked for a password.
_memleakctl_known() {
    local name=org.memleakd.Memleakd1 object=/org/memleakd/Memleakd1 process
    local bus=(busctl --system --no-pager --auto-start=no --allow-interactive-authorization=no --timeout=2)
    case "$1" in
        alerts)
            "${bus[@]}" --list tree "${name}" | sed -n "s|^${object}/alert/||p"
            ;;
        silences)
            "${bus[@]}" --json=short call "${name}" "${object}" "${name}" ListSilences |
                grep -o '"Id":{"type":"s","data":"[0-9]*"' | tr -cd '0-9\n'
            ;;
        reports)
            for process in /var/lib/memleakd/reports/*.json; do
                basename "${process}" .json
            done | grep -v '[*]'
            ;;
        processes)
            for process in /proc/[0-9]*; do
                echo "${process#/proc/}"
            done
            ;;
    esac 2>/dev/null
}

_memleakctl_and_known() {
    _memleakctl "$@"
    [[ ${COMP_CWORD} -ge 2 && $2 != -* ]] || return 0
    local known=
    case "$3" in
        --exe | --format | -o | --output)
            return 0
            ;;
        --user)
            known=$(compgen -u)
            ;;
        -c | --comment | --comm | -n | --count | --for | --rule | --unit) ;;
        --pid)
            known=$(_memleakctl_known processes)
            ;;
        *)
            case "${COMP_WORDS[1]}" in
                ack | show | silence) known=$(_memleakctl_known alerts) ;;
                explain) known=$(_memleakctl_known processes) ;;
                unsilence) known=$(_memleakctl_known silences) ;;
                report)
                    known=$(_memleakctl_known alerts && _memleakctl_known reports)
                    known=$(sort -u <<<"${known}")
                    ;;
                *) return 0 ;;
            esac
            ;;
    esac
    # Files are offered where nothing else is to be had, which is right for reports only.
    [[ ${COMP_WORDS[1]} == report ]] || compopt +o default +o bashdefault
    COMPREPLY=( $(compgen -W "${known}" -- "$2") )
}

complete -F _memleakctl_and_known -o bashdefault -o default memleakctl
