# Completion of crontify for bash 4.1 or newer. Written by scripts/completions.py: change that,
# and run it.
#
# Commands, options and choices stand here; only for monitors and runs is crontify asked,
# by a call that is not much more than a bare Python.

# Set commands, arguments and options to what the command at the path $1 takes.
# An argument or an option's value has a kind, and behind it the choices if it has any;
# a + says that there may be several.
_crontify_table()
{
    commands=() arguments=() options=()
    case $1 in
@TABLE@
    esac
}

# Set REPLY to the word $1 without its quotes, and quote to the one that is still open.
_crontify_plain()
{
    local rest=$1 char
    REPLY='' quote=''
    while [[ $rest ]]; do
        char=${rest:0:1} rest=${rest:1}
        case $quote$char in
            \\ | \"\\) REPLY+=${rest:0:1} rest=${rest:1} ;;
            \' | \") quote=$char ;;
            \'\' | \"\") quote='' ;;
            *) REPLY+=$char ;;
        esac
    done
}

# Set words to what stands before the cursor as crontify would get it, and starts to where in
# COMP_WORDS each begins: COMP_WORDBREAKS cuts at = and :, and redirections are the shell's.
# Set redirected if the last word is the file of one.
_crontify_split()
{
    local rest=${COMP_LINE:0:COMP_POINT} trimmed token before='' glued
    local -i at
    words=() starts=() redirected=''
    for ((at = 0; at <= COMP_CWORD; at++)); do
        token=${COMP_WORDS[at]}
        trimmed=${rest#"${rest%%[![:space:]]*}"}
        [[ $at -gt 0 && $trimmed == "$rest" ]] && glued=1 || glued=''
        ((at == COMP_CWORD)) && token=$trimmed
        rest=${trimmed#"$token"}
        if [[ $token == [\<\>]* ]]; then
            # The 2 of 2> is no word.
            [[ $glued && $before == [0-9] ]] && unset "words[${#words[@]}-1]"
        elif [[ $before == [\<\>]* ]]; then
            ((at == COMP_CWORD)) && redirected=1
        elif [[ $glued && ($token == [=:]* || $before == *[=:]) ]]; then
            words[${#words[@]} - 1]+=$token
        else
            starts[${#words[@]}]=$at
            words+=("$token")
        fi
        before=$token
    done
}

# Set kind to what the option $1 takes, empty for nothing, and group to all of its flags.
_crontify_option()
{
    local option flags
    kind='' group=$1
    for option in "${options[@]}"; do
        flags=${option%% *}
        if [[ ,${flags%+}, == *,"$1",* ]]; then
            group=${flags%+}
            [[ $option == *' '* ]] && kind=${option#* }
            return
        fi
    done
}

# Put those of the words $2… into COMPREPLY that begin as the word at the cursor does.
# $1 stands before all of them.
_crontify_choose()
{
    local front=$1 word
    shift
    for word; do
        word=$front$word
        [[ $word == "$cur"* ]] || continue
        # A ~ of an alias is no home. Within a quote nothing needs another.
        [[ $quote ]] || printf -v word %q "$word"
        COMPREPLY+=("${word#"$split"}")
    done
}

# Put the first words of the lines that crontify answers into found.
_crontify_ask()
{
    local word said
    found=()
    while IFS=$'\t' read -r word said; do
        # Only after a -- is it no option.
        [[ $word == -* && ! $over ]] || found+=("$word")
    done < <(CRONTIFY_CONFIG=${config:-${CRONTIFY_CONFIG-}} "$program" __complete "$@" 2>/dev/null)
    compopt -o nosort 2>/dev/null # the newest first; bash 4.4
}

# Offer what is of the kind $2, with its choices behind it; $1 stands before all of it.
_crontify_offer()
{
    local front=$1 kind=${2%+} found name
    shift 2
    case $kind in
        choice) _crontify_choose "$front" "$@" ;;
        file) compopt -o default ;;
        monitor)
            _crontify_ask monitors
            _crontify_choose "$front" "${found[@]}"
            ;;
        run)
            _crontify_ask runs ${before:+"$before"}
            _crontify_choose "$front" "${found[@]}"
            ;;
        key)
            if [[ $cur != monitors.* ]]; then
                compopt -o nospace
                _crontify_choose '' monitors.
                set -- @KEYS@
                set -- "${@/%/ }"
                for name; do
                    [[ $name == "$cur"* ]] && COMPREPLY+=("$name")
                done
                return
            fi
            _crontify_ask monitors
            for name in "${found[@]}"; do
                if [[ $cur == monitors.$name.* ]]; then
                    _crontify_choose "monitors.$name." @MONITOR_KEYS@
                else
                    _crontify_choose "monitors.$name" .
                fi
            done
            [[ ${COMPREPLY[0]-} == *. ]] && compopt -o nospace
            ;;
        setting)
            case ${before##*.} in
@SETTING_CHOICES@
                @SETTING_FILES@) compopt -o default ;;
            esac
            ;;
    esac
}

# Offer the options that are not there yet, or may be there again.
_crontify_flags()
{
    local option flags
    for option in "${options[@]}"; do
        flags=${option%% *}
        [[ $flags != *+ && $used == *" $flags "* ]] && continue
        flags=${flags%+}
        _crontify_choose '' ${flags//,/ }
    done
}

# Complete the job's words, from $1 in COMP_WORDS on, as bash would without us in front.
_crontify_command()
{
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset $1
    elif declare -F _command_offset >/dev/null; then
        _command_offset $1
    elif (($1 == COMP_CWORD)); then # bash without bash-completion
        compopt -o filenames
        COMPREPLY=($(compgen -c -- "$2"))
    else
        compopt -o bashdefault -o default
    fi
}

_crontify()
{
    local IFS=$' \t\n' REPLY quote words starts redirected
    local commands arguments options kind group
    local path='' expected='' over='' begun='' helping='' used=' ' config='' before=''
    local cur split program word
    local -i at=1 place=0
    _crontify_split
    COMPREPLY=()
    if [[ $redirected ]]; then
        compopt -o default
        return
    fi
    program=${1/#\~\//$HOME/}
    type -P -- "$program" >/dev/null || program=crontify # an alias of another name, say
    _crontify_table ''
    for ((; at < ${#words[@]} - 1; at++)); do
        _crontify_plain "${words[at]}"
        word=$REPLY
        if [[ $expected ]]; then
            [[ $expected == --config ]] && config=$word
            expected=''
        elif [[ ! $over && $word == -- ]]; then
            over=1
            [[ ${arguments[place]-} == command* ]] && begun=1 && break
        elif [[ ! $over && $word == -?* ]]; then
            _crontify_option "${word%%=*}"
            used+="$group "
            if [[ $word == --config=* ]]; then
                config=${word#*=}
            elif [[ $kind && $word != --*=* ]]; then
                expected=$word
            fi
        elif [[ ! $path && $word == help ]]; then
            helping=1
        elif ((${#commands[@]})); then
            path+="${path:+ }$word"
            _crontify_table "$path"
        elif [[ ${arguments[place]-} == command* ]]; then
            begun=1
            break
        else
            [[ ${arguments[place]-} == @(monitor|key) ]] && before=$word
            [[ ${arguments[place]-} == *+* ]] || ((place++))
        fi
    done
    _crontify_plain "${words[${#words[@]} - 1]}"
    cur=$REPLY
    # Of --overlap=sk bash replaces the sk alone, as COMP_WORDBREAKS says.
    split=${words[${#words[@]} - 1]}
    [[ ${COMP_WORDS[COMP_CWORD]} == [=:]* ]] || split=${split%"${COMP_WORDS[COMP_CWORD]}"}

    if [[ $expected ]]; then
        _crontify_option "$expected"
        _crontify_offer '' $kind
    elif [[ $begun || (${arguments[place]-} == command* && ($over || $cur != -*)) ]]; then
        # A -- stands between MONITOR and the command, or not.
        [[ ${words[at]} == -- ]] && ((at < ${#words[@]} - 1)) && ((at++))
        _crontify_command ${starts[at]} "$cur"
    elif [[ ! $over && $cur == --*=* ]]; then
        _crontify_option "${cur%%=*}"
        _crontify_offer "${cur%%=*}=" $kind
    elif [[ ! $over && $cur == -* ]]; then
        _crontify_flags
    elif ((${#commands[@]})); then
        _crontify_choose '' "${commands[@]}"
        [[ $path || $helping ]] || _crontify_choose '' help
    elif [[ ! $helping ]]; then
        _crontify_offer '' ${arguments[place]-}
        [[ $over ]] || ((${#arguments[@]})) || _crontify_flags
    fi
}

complete -F _crontify crontify
