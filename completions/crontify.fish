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
        case ''
            set __crontify_commands exec demo ping flush runs logs init doctor completion config sandbox
            set __crontify_valued --config
        case exec
            set __crontify_arguments monitor command
            set __crontify_valued --timeout --kill-after --overlap --output --success-codes --min-duration --tolerate --meta --meta-regex --redact --config --base-url --api-key-file
        case demo
        case ping
            set __crontify_arguments choice monitor
            set __crontify_valued --meta --message --log
        case flush
            set __crontify_valued --wait
        case runs
            set __crontify_arguments monitor
            set __crontify_valued --since -n --limit
        case logs
            set __crontify_arguments monitor run
            set __crontify_valued -n --lines
        case init
        case doctor
        case completion
            set __crontify_arguments choice
        case config
            set __crontify_commands path list get set unset check edit
        case 'config path'
        case 'config list'
        case 'config get'
            set __crontify_arguments key
        case 'config set'
            set __crontify_arguments key settings
        case 'config unset'
            set __crontify_arguments key
        case 'config check'
        case 'config edit'
        case sandbox
            set __crontify_commands serve token runs alerts reset monitor rule key
        case 'sandbox serve'
            set __crontify_valued --host --port --db --account --plan
        case 'sandbox token'
            set __crontify_valued --db --account --expires
        case 'sandbox runs'
            set __crontify_arguments monitor
            set __crontify_valued --status --limit --db --account
        case 'sandbox alerts'
            set __crontify_arguments monitor
            set __crontify_valued --limit --db --account
        case 'sandbox reset'
            set __crontify_valued --db
        case 'sandbox monitor'
            set __crontify_commands add list
        case 'sandbox monitor add'
            set __crontify_arguments monitor
            set __crontify_valued --db --account
        case 'sandbox monitor list'
            set __crontify_valued --db --account
        case 'sandbox rule'
            set __crontify_commands add remove
        case 'sandbox rule add'
            set __crontify_arguments monitor other choice other
            set __crontify_valued --db --account
        case 'sandbox rule remove'
            set __crontify_arguments monitor other choice other
            set __crontify_valued --db --account
        case 'sandbox key'
            set __crontify_commands rotate
        case 'sandbox key rotate'
            set __crontify_valued --db --account
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
        api_key\t'The API key' \
        api_key_file\t'File whose first line is the API key' \
        api_key_command\t'Command whose first line of output is the API key' \
        token\t'The user token (a JWT), for reading logs from the API' \
        token_file\t'File whose first line is the user token' \
        token_command\t'Command whose first line of output is the user token' \
        base_url\t'Base URL of the API' \
        allow_http\t'Allow a base_url with http:// on another host, which sends the API key unencrypted' \
        proxy\t'Proxy for all requests' \
        ca_bundle\t'File with the CA certificates to trust' \
        connect_timeout\t'Timeout for connecting to the server' \
        http_timeout\t'Timeout for one request' \
        report_timeout\t'How long to try to deliver the report after the job has ended' \
        rate_limit_wait\t'How long to wait after the job has ended if the server limits the rate of pings' \
        keep_runs\t'Number of runs to keep in the journal' \
        keep_days\t'Number of days to keep runs in the journal' \
        keep_log_mb\t'Size of the logs to keep, in MiB' \
        timeout\t'Time limit for the job' \
        kill_after\t'Time between the TERM and the KILL of the timeout' \
        success_codes\t'Exit codes that mean success, as "0,20-25" or [0, 24]' \
        min_duration\t'Treat a run as failed if it ends sooner' \
        tolerate\t'Report up to this many failures in a row as successes' \
        output\t'Print the job\'s output always, only if the job fails, or never' \
        no_start\t'Report only the end of the job, not its start' \
        no_log\t'Do not send the log of a failure' \
        meta_regex\t'Report numbers found in the output by named groups' \
        redact\t'Mask additional text in the logs'
        printf '%s\t%s\n' monitors. 'A setting of one monitor'
        return
    end
    for name in (__crontify_ask monitors | string replace -r '\t.*' '')
        if string match -q "monitors.$name.*" -- $current
            printf "monitors.$name.%s\n" \
        id\t'Id of the monitor. Default: NAME, as in the section' \
        timeout\t'Time limit for the job' \
        kill_after\t'Time between the TERM and the KILL of the timeout' \
        success_codes\t'Exit codes that mean success, as "0,20-25" or [0, 24]' \
        min_duration\t'Treat a run as failed if it ends sooner' \
        tolerate\t'Report up to this many failures in a row as successes' \
        output\t'Print the job\'s output always, only if the job fails, or never' \
        no_start\t'Report only the end of the job, not its start' \
        no_log\t'Do not send the log of a failure' \
        meta_regex\t'Report numbers found in the output by named groups' \
        redact\t'Mask additional text in the logs'
        else
            printf '%s\n' monitors.$name.
        end
    end
end

# The values of a key: its last name tells.
function __crontify_settings
    switch (string replace -r '.*\.' '' -- $__crontify_words[1])
        case allow_http
            printf '%s\n' true false
        case output
            printf '%s\n' all on-failure none
        case no_start
            printf '%s\n' true false
        case no_log
            printf '%s\n' true false
        case api_key_file token_file ca_bundle
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

# crontify
complete -c crontify -n '__crontify_descends \'\'' -a exec -d 'Report a job\'s start, run it, and report how it ended'
complete -c crontify -n '__crontify_descends \'\'' -a demo -d 'Try it all on this machine'
complete -c crontify -n '__crontify_descends \'\'' -a ping -d 'Report a start, a success or a failure of a job that runs without `exec`'
complete -c crontify -n '__crontify_descends \'\'' -a flush -d 'Deliver what is queued, and report the runs whose wrapper or host died'
complete -c crontify -n '__crontify_descends \'\'' -a runs -d 'List the runs of this machine, the newest first'
complete -c crontify -n '__crontify_descends \'\'' -a logs -d 'Show the log of a run, by default of the newest that failed'
complete -c crontify -n '__crontify_descends \'\'' -a init -d 'Ask for API key, monitor and job; write the config file'
complete -c crontify -n '__crontify_descends \'\'' -a doctor -d 'Check that jobs can be reported from here, and say what to do where not'
complete -c crontify -n '__crontify_descends \'\'' -a completion -d 'Print the script by which a shell completes crontify\'s command line at TAB'
complete -c crontify -n '__crontify_descends \'\'' -a config -d 'See, check and change the settings'
complete -c crontify -n '__crontify_descends \'\'' -a sandbox -d 'The documented API on this machine: try jobs without an account'
complete -c crontify -n '__crontify_offers \'\' --version' -l version -d 'Show the version'
complete -c crontify -n '__crontify_offers \'\' --config' -l config -r -F -d 'Read this config file'
complete -c crontify -n '__crontify_offers \'\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify exec
complete -c crontify -n '__crontify_offers exec --timeout' -l timeout -x -d 'Stop the job after this time; exit 124'
complete -c crontify -n '__crontify_offers exec --kill-after' -l kill-after -x -d 'Time between the TERM and the KILL of the timeout'
complete -c crontify -n '__crontify_offers exec --overlap' -l overlap -x -a 'allow\\t\'start anyway\' skip\\t\'skip this run, exit 75\' wait\\t\'wait for the other to end\'' -d 'If another run of the monitor is still active'
complete -c crontify -n '__crontify_offers exec --shell' -l shell -d 'Run COMMAND, one string, with $SHELL or /bin/sh'
complete -c crontify -n '__crontify_offers exec --output' -l output -x -a 'all\\t\'pass everything on as it comes\' on-failure\\t\'pass it on only if the job fails\' none\\t\'pass nothing on\'' -d 'When to print the job\'s output'
complete -c crontify -n '__crontify_offers exec -q --quiet' -s q -l quiet -d 'Same as --output none'
complete -c crontify -n '__crontify_offers exec --success-codes' -l success-codes -x -d 'Exit codes that mean success, as 0,20-25'
complete -c crontify -n '__crontify_offers exec --min-duration' -l min-duration -x -d 'Treat the run as failed if it ends sooner'
complete -c crontify -n '__crontify_offers exec --tolerate' -l tolerate -x -d 'Report up to N failures in a row as successes, with tolerated_failures in the meta'
complete -c crontify -n '__crontify_offers exec' -l meta -x -d 'Number to report with the run; may be repeated'
complete -c crontify -n '__crontify_offers exec' -l meta-regex -x -d 'Report numbers found in the output by named groups'
complete -c crontify -n '__crontify_offers exec' -l redact -x -d 'Mask matching text in both logs; may be repeated'
complete -c crontify -n '__crontify_offers exec --no-start' -l no-start -d 'Report only the end of the job, not its start'
complete -c crontify -n '__crontify_offers exec --no-log' -l no-log -d 'Do not send the log of a failure'
complete -c crontify -n '__crontify_offers exec --config' -l config -r -F -d 'Read this config file'
complete -c crontify -n '__crontify_offers exec --base-url' -l base-url -x -d 'Base URL of the API'
complete -c crontify -n '__crontify_offers exec --api-key-file' -l api-key-file -r -F -d 'File whose first line is the API key'
complete -c crontify -n '__crontify_offers exec -v --verbose' -s v -l verbose -d 'Show on stderr what is sent and what the server answers'
complete -c crontify -n '__crontify_offers exec -h --help' -s h -l help -d 'Show this message and exit'

# crontify demo
complete -c crontify -n '__crontify_offers demo -h --help' -s h -l help -d 'Show this message and exit'

# crontify ping
complete -c crontify -n '__crontify_wants ping 1' -x -a 'start\\t\'the job begins\' success\\t\'the job is done\' fail\\t\'the job failed\''
complete -c crontify -n '__crontify_offers ping' -l meta -x -d 'A number to report, not with start; may be repeated'
complete -c crontify -n '__crontify_offers ping --message' -l message -x -d 'What went wrong, with fail'
complete -c crontify -n '__crontify_offers ping --log' -l log -r -F -d 'The log, with fail; - for standard input'
complete -c crontify -n '__crontify_offers ping --no-queue' -l no-queue -d 'Exit 75 instead of queueing what cannot be delivered now'
complete -c crontify -n '__crontify_offers ping -v --verbose' -s v -l verbose -d 'Say on stderr what became of it'
complete -c crontify -n '__crontify_offers ping -h --help' -s h -l help -d 'Show this message and exit'

# crontify flush
complete -c crontify -n '__crontify_offers flush --wait' -l wait -x -d 'How long to try'
complete -c crontify -n '__crontify_offers flush -q --quiet' -s q -l quiet -d 'Print nothing but errors'
complete -c crontify -n '__crontify_offers flush -v --verbose' -s v -l verbose -d 'A line for each monitor'
complete -c crontify -n '__crontify_offers flush --refused' -l refused -d 'Try again what the server had refused'
complete -c crontify -n '__crontify_offers flush -h --help' -s h -l help -d 'Show this message and exit'

# crontify runs
complete -c crontify -n '__crontify_offers runs --failed' -l failed -d 'Only what failed, tolerated or not'
complete -c crontify -n '__crontify_offers runs --since' -l since -x -d 'Only runs since then: 2d (ago), or a date'
complete -c crontify -n '__crontify_offers runs -n --limit' -s n -l limit -x -d 'At most so many; with --stats, of each monitor'
complete -c crontify -n '__crontify_offers runs --stats' -l stats -d 'A line a monitor: runs, success rate, durations, last failure'
complete -c crontify -n '__crontify_offers runs --json' -l json -d 'A list of objects'
complete -c crontify -n '__crontify_offers runs -h --help' -s h -l help -d 'Show this message and exit'

# crontify logs
complete -c crontify -n '__crontify_offers logs -f --follow' -s f -l follow -d 'Show a running job\'s output as it comes'
complete -c crontify -n '__crontify_offers logs -n --lines' -s n -l lines -x -d 'The last N lines only'
complete -c crontify -n '__crontify_offers logs --remote' -l remote -d 'From the API or not at all'
complete -c crontify -n '__crontify_offers logs --local' -l local -d 'This machine\'s copy only'
complete -c crontify -n '__crontify_offers logs --raw' -l raw -d 'Leave terminal escape sequences in'
complete -c crontify -n '__crontify_offers logs --json' -l json -d 'An object, with the log in it'
complete -c crontify -n '__crontify_offers logs -h --help' -s h -l help -d 'Show this message and exit'

# crontify init
complete -c crontify -n '__crontify_offers init -h --help' -s h -l help -d 'Show this message and exit'

# crontify doctor
complete -c crontify -n '__crontify_offers doctor --json' -l json -d 'A list of objects'
complete -c crontify -n '__crontify_offers doctor -h --help' -s h -l help -d 'Show this message and exit'

# crontify completion
complete -c crontify -n '__crontify_wants completion 1' -x -a 'bash zsh fish'
complete -c crontify -n '__crontify_offers completion -h --help' -s h -l help -d 'Show this message and exit'

# crontify config
complete -c crontify -n '__crontify_descends config' -a path -d 'Print the name of the config file that is changed, whether it exists or not'
complete -c crontify -n '__crontify_descends config' -a list -d 'Show every setting in force and where it comes from'
complete -c crontify -n '__crontify_descends config' -a get -d 'Print the value in force, a list\'s items a line each'
complete -c crontify -n '__crontify_descends config' -a set -d 'Check a value and write it to the config file'
complete -c crontify -n '__crontify_descends config' -a unset -d 'Take a key, or a whole section as monitors.backup, out of the config file'
complete -c crontify -n '__crontify_descends config' -a check -d 'Check file and environment, and that key and token can be had'
complete -c crontify -n '__crontify_descends config' -a edit -d 'Open the config file in $VISUAL or $EDITOR'
complete -c crontify -n '__crontify_offers config -h --help' -s h -l help -d 'Show this message and exit'

# crontify config path
complete -c crontify -n '__crontify_offers \'config path\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify config list
complete -c crontify -n '__crontify_offers \'config list\' --json' -l json -d 'A list of objects: key, value, source, from'
complete -c crontify -n '__crontify_offers \'config list\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify config get
complete -c crontify -n '__crontify_offers \'config get\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify config set
complete -c crontify -n '__crontify_offers \'config set\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify config unset
complete -c crontify -n '__crontify_offers \'config unset\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify config check
complete -c crontify -n '__crontify_offers \'config check\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify config edit
complete -c crontify -n '__crontify_offers \'config edit\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox
complete -c crontify -n '__crontify_descends sandbox' -a serve -d 'Serve the API until Ctrl-C, and show each ping as it arrives'
complete -c crontify -n '__crontify_descends sandbox' -a token -d 'Print a user token (JWT) for reading runs and logs'
complete -c crontify -n '__crontify_descends sandbox' -a runs -d 'Show the runs, the newest first'
complete -c crontify -n '__crontify_descends sandbox' -a alerts -d 'Show the alerts that Crontify would have sent, the newest first'
complete -c crontify -n '__crontify_descends sandbox' -a reset -d 'Forget every run, log and alert; monitors, rules and keys stay'
complete -c crontify -n '__crontify_descends sandbox' -a monitor -d 'The sandbox\'s monitors'
complete -c crontify -n '__crontify_descends sandbox' -a rule -d 'Alert rules: when a success is a silent failure'
complete -c crontify -n '__crontify_descends sandbox' -a key -d 'The sandbox\'s API key'
complete -c crontify -n '__crontify_offers sandbox -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox serve
complete -c crontify -n '__crontify_offers \'sandbox serve\' --host' -l host -x -d 'The address to listen on'
complete -c crontify -n '__crontify_offers \'sandbox serve\' --port' -l port -x -d '0 takes a free one'
complete -c crontify -n '__crontify_offers \'sandbox serve\' --db' -l db -r -F -d 'The sandbox\'s database'
complete -c crontify -n '__crontify_offers \'sandbox serve\' --account' -l account -x -d 'Whose; made when first named'
complete -c crontify -n '__crontify_offers \'sandbox serve\' --plan' -l plan -x -a 'free\\t\'60s between two pings\' pro\\t\'no pause\'' -d 'The pause between two pings of a monitor: free is 60s, pro none'
complete -c crontify -n '__crontify_offers \'sandbox serve\' --json' -l json -d 'For machines'
complete -c crontify -n '__crontify_offers \'sandbox serve\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox token
complete -c crontify -n '__crontify_offers \'sandbox token\' --db' -l db -r -F -d 'The sandbox\'s database'
complete -c crontify -n '__crontify_offers \'sandbox token\' --account' -l account -x -d 'Whose; made when first named'
complete -c crontify -n '__crontify_offers \'sandbox token\' --expires' -l expires -x -d 'How long it is good for'
complete -c crontify -n '__crontify_offers \'sandbox token\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox runs
complete -c crontify -n '__crontify_offers \'sandbox runs\' --status' -l status -x -a 'running success failed overlapped' -d 'Only runs that stand so'
complete -c crontify -n '__crontify_offers \'sandbox runs\' --limit' -l limit -x -d 'How many'
complete -c crontify -n '__crontify_offers \'sandbox runs\' --db' -l db -r -F -d 'The sandbox\'s database'
complete -c crontify -n '__crontify_offers \'sandbox runs\' --account' -l account -x -d 'Whose; made when first named'
complete -c crontify -n '__crontify_offers \'sandbox runs\' --json' -l json -d 'For machines'
complete -c crontify -n '__crontify_offers \'sandbox runs\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox alerts
complete -c crontify -n '__crontify_offers \'sandbox alerts\' --limit' -l limit -x -d 'How many'
complete -c crontify -n '__crontify_offers \'sandbox alerts\' --db' -l db -r -F -d 'The sandbox\'s database'
complete -c crontify -n '__crontify_offers \'sandbox alerts\' --account' -l account -x -d 'Whose; made when first named'
complete -c crontify -n '__crontify_offers \'sandbox alerts\' --json' -l json -d 'For machines'
complete -c crontify -n '__crontify_offers \'sandbox alerts\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox reset
complete -c crontify -n '__crontify_offers \'sandbox reset\' --db' -l db -r -F -d 'The sandbox\'s database'
complete -c crontify -n '__crontify_offers \'sandbox reset\' --all' -l all -d 'Monitors, rules, keys and tokens too'
complete -c crontify -n '__crontify_offers \'sandbox reset\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox monitor
complete -c crontify -n '__crontify_descends \'sandbox monitor\'' -a add -d 'Make a monitor, so that its pings are taken'
complete -c crontify -n '__crontify_descends \'sandbox monitor\'' -a list -d 'List the monitors, with their rules and how their newest run stands'
complete -c crontify -n '__crontify_offers \'sandbox monitor\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox monitor add
complete -c crontify -n '__crontify_offers \'sandbox monitor add\' --db' -l db -r -F -d 'The sandbox\'s database'
complete -c crontify -n '__crontify_offers \'sandbox monitor add\' --account' -l account -x -d 'Whose; made when first named'
complete -c crontify -n '__crontify_offers \'sandbox monitor add\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox monitor list
complete -c crontify -n '__crontify_offers \'sandbox monitor list\' --db' -l db -r -F -d 'The sandbox\'s database'
complete -c crontify -n '__crontify_offers \'sandbox monitor list\' --account' -l account -x -d 'Whose; made when first named'
complete -c crontify -n '__crontify_offers \'sandbox monitor list\' --json' -l json -d 'For machines'
complete -c crontify -n '__crontify_offers \'sandbox monitor list\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox rule
complete -c crontify -n '__crontify_descends \'sandbox rule\'' -a add -d 'Make a success a silent failure when its meta has FIELD and it stands so to NUMBER'
complete -c crontify -n '__crontify_descends \'sandbox rule\'' -a remove -d 'Remove an alert rule, named as it was added'
complete -c crontify -n '__crontify_offers \'sandbox rule\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox rule add
complete -c crontify -n '__crontify_wants \'sandbox rule add\' 3' -x -a 'lt\\t\'less than\' gt\\t\'greater than\' eq\\tequal ne\\t\'not equal\''
complete -c crontify -n '__crontify_offers \'sandbox rule add\' --db' -l db -r -F -d 'The sandbox\'s database'
complete -c crontify -n '__crontify_offers \'sandbox rule add\' --account' -l account -x -d 'Whose; made when first named'
complete -c crontify -n '__crontify_offers \'sandbox rule add\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox rule remove
complete -c crontify -n '__crontify_wants \'sandbox rule remove\' 3' -x -a 'lt\\t\'less than\' gt\\t\'greater than\' eq\\tequal ne\\t\'not equal\''
complete -c crontify -n '__crontify_offers \'sandbox rule remove\' --db' -l db -r -F -d 'The sandbox\'s database'
complete -c crontify -n '__crontify_offers \'sandbox rule remove\' --account' -l account -x -d 'Whose; made when first named'
complete -c crontify -n '__crontify_offers \'sandbox rule remove\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox key
complete -c crontify -n '__crontify_descends \'sandbox key\'' -a rotate -d 'Print a new API key; the one before it is refused from now on'
complete -c crontify -n '__crontify_offers \'sandbox key\' -h --help' -s h -l help -d 'Show this message and exit'

# crontify sandbox key rotate
complete -c crontify -n '__crontify_offers \'sandbox key rotate\' --db' -l db -r -F -d 'The sandbox\'s database'
complete -c crontify -n '__crontify_offers \'sandbox key rotate\' --account' -l account -x -d 'Whose; made when first named'
complete -c crontify -n '__crontify_offers \'sandbox key rotate\' -h --help' -s h -l help -d 'Show this message and exit'
