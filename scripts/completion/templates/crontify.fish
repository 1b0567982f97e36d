# Completion of crontify for fish. Written by scripts/completions.py: change that, and run it.
#
# Commands, options and choices stand here; only for monitors and runs is crontify asked,
# by a call that is not much more than a bare Python.

# Set what the command at the path $argv takes: the commands below it, the kinds of its
# arguments, the options that have a value.
function __crontify_table
    set -g __crontify_commands
    set -g __crontify_arguments
    set -g __crontify_valued
    switch "$argv"
@CASES@
    end
end

# Walk along the line once for all the conditions below.
function __crontify_walk
    set -l line (commandline -cp | string collect)
    test "$__crontify_line" = "$line"; and return
    set -g __crontify_line $line
    set -g __crontify_path
    set -g __crontify_place 1
    set -g __crontify_used
    set -g __crontify_words
    set -g __crontify_config
    set -g __crontify_rest
    set -g __crontify_help no
    set -g __crontify_over no
    set -l expected
    set -l words (commandline -opc)
    set -g __crontify_program $words[1]
    set -e words[1]
    __crontify_table
    while set -q words[1]
        set -l word $words[1]
        set -e words[1]
        set -l kind $__crontify_arguments[$__crontify_place]
        if test -n "$expected"
            test $expected = --config; and set __crontify_config $word
            set -a __crontify_used $expected
            set expected
        else if test "$__crontify_over$word" = no--
            set __crontify_over yes
            if test "$kind" = command
                __crontify_begin $words
                return
            end
        else if test $__crontify_over = no; and string match -qr -- '^-.' $word
            set -l flag (string split -m 1 = -- $word)
            if test (count $flag) -gt 1
                test $flag[1] = --config; and set __crontify_config $flag[2]
                set -a __crontify_used $flag[1]
            else if contains -- $word $__crontify_valued
                set expected $word
            else
                set -a __crontify_used $word
            end
        else if test "$__crontify_path$word" = help
            set __crontify_help yes
        else if set -q __crontify_commands[1]
            set -a __crontify_path $word
            __crontify_table $__crontify_path
        else if test "$kind" = command
            __crontify_begin $word $words
            return
        else
            set -a __crontify_words $word
            string match -q '*s' -- $kind; or set __crontify_place (math $__crontify_place + 1)
        end
    end
    test -z "$expected" -a "$__crontify_arguments[$__crontify_place]" = command
    and not string match -q -- '-*' (commandline -ct)
    and __crontify_begin
end

# The words after exec's MONITOR: the job's own.
function __crontify_begin
    test "$argv[1]" = --; and set -e argv[1]
    set -g __crontify_rest $argv
    set -g __crontify_path exec COMMAND
end

# The conditions: what stands at the cursor is a command of this path, ...
function __crontify_descends
    __crontify_walk
    test "$__crontify_path" = "$argv"
end

# ... an argument of this path, at this place, ...
function __crontify_wants -a path place
    __crontify_walk
    test "$__crontify_path" = "$path" -a $__crontify_place = $place -a $__crontify_help = no
end

# ... an argument of this kind, whatever the command, ...
function __crontify_wants_some -a kind
    __crontify_walk
    test $__crontify_help = no -a "$__crontify_path" != 'exec COMMAND'
    and string match -qr -- '^'$kind's?$' "$__crontify_arguments[$__crontify_place]"
end

# ... an option of this path, not there yet as any of these flags, ...
function __crontify_offers -a path
    __crontify_walk
    test "$__crontify_path" = "$path" -a $__crontify_over = no; or return
    for flag in $argv[2..-1]
        contains -- $flag $__crontify_used; and return 1
    end
    return 0
end

# ... or a word of the job.
function __crontify_in_command
    __crontify_walk
    test "$__crontify_path" = 'exec COMMAND'
end

# Print what crontify answers: a word, a tab, and what is said of it, a line each. What
# begins with a dash is an option, but after a --.
function __crontify_ask
    set -l dashed '-*'
    test $__crontify_over = yes; and set dashed
    string match -q -- "$dashed" (commandline -ct); and return
    set -l program (string replace -r '^~/' -- "$HOME/" $__crontify_program)
    command -sq -- $program; or set program crontify # an abbreviated name, say
    set -q __crontify_config[1]; and set -lx CRONTIFY_CONFIG $__crontify_config
    for line in (command $program __complete $argv 2>/dev/null | string match -v -- "$dashed")
        # fish inserts a ~ bare unless a quote is typed (its issue 4570); of a user's name
        # it would make a home.
        set -l word (string replace -r '\t.*' '' -- $line)
        string match -q '~*' -- $word
        and not string match -qr '^[\\\\\'"]' -- (commandline -ct)
        and test (eval echo $word) != $word
        or printf '%s\n' $line
    end
end

function __crontify_keys
    set -l current (commandline -ct)
    if not string match -q 'monitors.*' -- $current
        printf '%s\n' \
@KEYS@
        printf '%s\t%s\n' monitors. 'A setting of one monitor'
        return
    end
    for name in (__crontify_ask monitors | string replace -r '\t.*' '')
        if string match -q "monitors.$name.*" -- $current
            printf "monitors.$name.%s\n" \
@MONITOR_KEYS@
        else
            printf '%s\n' monitors.$name.
        end
    end
end

# The values of a key: its last name tells.
function __crontify_settings
    switch (string replace -r '.*\.' '' -- $__crontify_words[1])
@SETTING_CHOICES@
        case @SETTING_FILES@
            __fish_complete_path (commandline -ct)
    end
end

# Complete the job's words as fish would without us in front.
function __crontify_command
    set -l words
    for word in $__crontify_rest
        # Its quotes are gone, and it must stay one word.
        string match -qr '\s' -- $word; and set word (string escape -- $word)
        set -a words $word
    end
    set -l current (commandline -ct)
    if test -z "$words$current"
        complete -C ''
    else
        __fish_complete_subcommand --commandline $words $current
    end
end

complete -c crontify -f
complete -c crontify -n __crontify_in_command -a '(__crontify_command)'
complete -c crontify -n '__crontify_wants_some monitor' -k -a '(__crontify_ask monitors)'
complete -c crontify -n '__crontify_wants_some run' -k -a '(__crontify_ask runs $__crontify_words[1])'
complete -c crontify -n '__crontify_wants_some key' -a '(__crontify_keys)'
complete -c crontify -n '__crontify_wants_some setting' -a '(__crontify_settings)'
complete -c crontify -n '__crontify_wants_some file' -F
complete -c crontify -n '__crontify_descends ""' -a help -d "Show a command's help"
@TABLE@
