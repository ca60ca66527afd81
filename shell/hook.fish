# wtenv's hook for fish, from 3.2 on: when to look, and what to load. Sourcing it twice changes nothing.
# apply.fish, which comes before it in the text that a shell gets, enters and leaves.
#
# fish keeps lists where other shells have strings: "$$name" in quotes is what a child process would see
# (a variable called *PATH joins with ":", any other with " "), $$name without quotes keeps the list.
# Command substitutions split at newlines, so values never pass through one. `builtin` is for functions
# of the same name (set, test, string and the keywords can't be redefined).
#
# Variables that stay in the shell (all global, none exported):
#   __wtenv_cache           the folder of cached activations                       } given by @SETTINGS@
#   __wtenv_command         how wtenv is started, as a list                        }
#   __wtenv_shell           whose state this is: the shell's process
#   __wtenv_test            what compares times: test, or before fish 3.6 the program of that name
#   __wtenv_low_resolution  1 if that compares whole seconds, else empty
#   __wtenv_root            the root that the last decision was about; empty outside of one
#   __wtenv_relative_root   the same, seen from here: ../../.
#   __wtenv_decision        what was decided last, by its name in docs/design.md
#   __wtenv_switched        1 once the answer at hand is in effect
#   __wtenv_loaded_root     the root whose cached activation's functions are in memory
#   __wtenv_inherited       1 as long as what is active came with the environment
#   __wtenv_leave_message   what to say on leaving
#   __wtenv_last_message    the id of what was said last
# Words for the one `test` of a prompt; it is true where something has changed:
#   __wtenv_watch           the name of the list that counts now, one of the next four
#   __wtenv_stale           that of the cached activation in effect
#   __wtenv_always          true at each prompt: nothing was decided yet, or something is still to be said
#   __wtenv_outside         a .git that appears
#   __wtenv_never           nothing: Ctrl-C has ended a computing run
#   __wtenv_below           a .git that appears here, below the root
#   __wtenv_real_root       that the root is no more the folder that a link led to
# Of the cached activation in effect: __wtenv_witnesses (the folder of its witnesses), __wtenv_stale, and the functions
# __wtenv_depends, _enter, _enter_fast, _leave_fast and _load.
# Of apply.fish: __wtenv_entered, _unexported, _universal, _fast, _swept.

@SETTINGS@

# Whose state is this? What is copied into another shell (a snapshot of functions) has to do nothing there. Kept where
# it is sourced again, or comes with an answer of a newer version.
if test "$__wtenv_shell" != $fish_pid
    set -e __wtenv_root __wtenv_loaded_root __wtenv_watch __wtenv_inherited __wtenv_fast
    set -e __wtenv_relative_root __wtenv_below __wtenv_real_root
    set -g __wtenv_shell $fish_pid
end
set -q __wtenv_inherited; or set -g __wtenv_inherited 1
for __wtenv_name in root loaded_root watch last_message leave_message decision switched relative_root below real_root
    set -q __wtenv_$__wtenv_name; or set -g __wtenv_$__wtenv_name
end
set -e __wtenv_name
# What makes a prompt decide anew: one of these, or $__wtenv_stale, which each cached activation has.
set -g __wtenv_always -o -n x
set -g __wtenv_outside -o -e .git
set -g __wtenv_never
test -n "$__wtenv_watch"; or set __wtenv_watch __wtenv_always

# fish compares times from 3.6 on; before, the program of that name has to.
set -g __wtenv_test test
test / -nt '' 2>/dev/null; or set __wtenv_test (builtin command -s test)

# Does it compare to the nanosecond? Else what is kept has to be older.
set -g __wtenv_low_resolution 1
if $__wtenv_test $__wtenv_cache/fine.2 -nt $__wtenv_cache/fine.1
    set __wtenv_low_resolution ''
end

# At the prompt: nothing if what the answer in effect depends on is as it was, in one `test`: each costs more than
# most of what it looks at. $WTENV_DISABLE comes first, as a word that is true if it is not empty: so all others begin
# with -o. In a copy there are no variables, and `test ""` is false.
if test "$__wtenv_test" = test
    function __wtenv_check --on-event fish_prompt
        test "$WTENV_DISABLE" $$__wtenv_watch $__wtenv_below $__wtenv_real_root; and __wtenv_decide
    end
else
    function __wtenv_check --on-event fish_prompt
        set -q __wtenv_test; and $__wtenv_test "$WTENV_DISABLE" $$__wtenv_watch $__wtenv_below $__wtenv_real_root; and __wtenv_decide
    end
end

function __wtenv_after_cd --on-variable PWD
    __wtenv_decide # also by the same name, which may lead elsewhere by now
end

function __wtenv_decide
    test "$__wtenv_shell" = $fish_pid; or return 0 # copied from another shell
    if test -n "$WTENV_DISABLE"
        if test "$__wtenv_decision" != disabled
            set __wtenv_decision disabled
            set __wtenv_root
            set __wtenv_last_message
            set __wtenv_leave_message
            set __wtenv_watch __wtenv_always
            __wtenv_leave
        end
        return 0
    end
    set -l __wtenv_dir $PWD
    test "$PWD" = /; and set __wtenv_dir ''
    set -l __wtenv_up ''
    while not test -e "$__wtenv_dir/.git" -o -e $__wtenv_up.git -o -z "$__wtenv_dir"
        # A named group sets a variable without a command substitution, which would cost more than all the rest. (?s:.*),
        # as a folder's name may have a newline in it.
        string match -qr '^(?<__wtenv_dir>(?s:.*))/' -- $__wtenv_dir
        set __wtenv_up $__wtenv_up../
    end
    set -l __wtenv_real
    if not $__wtenv_test "$__wtenv_dir/." -ef $__wtenv_up.
        # What $PWD names is not where the shell stands: a symlink leads here, or has been turned since, or the folder
        # was deleted and made anew. The real folder counts, as it does for what the shell starts.
        set __wtenv_dir (builtin realpath . 2>/dev/null | string collect) # in one piece, newlines and all
        set __wtenv_up ''
        test "$__wtenv_dir" = /; and set __wtenv_dir ''
        set __wtenv_real $__wtenv_dir
        while not test -e "$__wtenv_dir/.git" -o -z "$__wtenv_dir"
            string match -qr '^(?<__wtenv_dir>(?s:.*))/' -- $__wtenv_dir
            set __wtenv_up $__wtenv_up../
        end
        test -e "$__wtenv_dir/.git"; and set __wtenv_real "$__wtenv_dir/."
        test -n "$__wtenv_real"; or set __wtenv_real /dev/null # nowhere: never the same folder
    end
    test -n "$__wtenv_dir"; or set __wtenv_dir /
    # What a prompt looks at besides, as words of `test`: a new `.git` here, and that the shell still is where it was.
    set __wtenv_below
    test -z "$__wtenv_up"; or set __wtenv_below -o -e .git
    set __wtenv_relative_root $__wtenv_up.
    if not test -e "$__wtenv_dir/.git"
        set __wtenv_real_root
        test -z "$__wtenv_real"; or set __wtenv_real_root -o ! . -ef $__wtenv_real
        set __wtenv_decision outside
        set __wtenv_root
        set __wtenv_last_message
        set __wtenv_watch __wtenv_outside
        __wtenv_leave
        if test -n "$__wtenv_leave_message"
            __wtenv_say left $__wtenv_leave_message enter
            set __wtenv_leave_message
        end
    else if test "$__wtenv_dir" = "$__wtenv_root"; and not $__wtenv_test "" $$__wtenv_watch $__wtenv_real_root; and __wtenv_is_first
        test -z "$__wtenv_real"; or set __wtenv_real_root -o ! $__wtenv_relative_root -ef $__wtenv_real
        set __wtenv_decision 'same root'
    else
        set __wtenv_real_root
        test -z "$__wtenv_real"; or set __wtenv_real_root -o ! $__wtenv_relative_root -ef $__wtenv_real
        __wtenv_find $__wtenv_dir
    end
    if set -q WTENV_DEBUG[1]
        builtin echo "wtenv: debug: $PWD: $__wtenv_decision" >&2
    end
end

# Put into effect what is known of the root $argv, or ask.
function __wtenv_find
    test "$argv" = "$__wtenv_root"; or set __wtenv_last_message
    set __wtenv_root $argv
    set __wtenv_switched
    set __wtenv_decision cached
    set -l __wtenv_last $__wtenv_loaded_root
    set __wtenv_loaded_root
    if test "$__wtenv_last" = "$__wtenv_root" # its functions are still in memory
        __wtenv_load
    end
    if test -z "$__wtenv_switched"
        set -l __wtenv_file $__wtenv_cache$__wtenv_root/%wtenv.fish$__wtenv_low_resolution
        if test -O "$__wtenv_file" -a -O $__wtenv_cache
            builtin source $__wtenv_file
        end
    end
    if test -z "$__wtenv_switched"
        test "$WTENV_ROOT" = "$__wtenv_root"; or __wtenv_leave
        # Ctrl-C from here on ends this function: then nothing is retried until something changes.
        set __wtenv_decision computed
        set __wtenv_watch __wtenv_never
        $__wtenv_command $__wtenv_root "$__wtenv_low_resolution" | builtin source
    end
    if test -z "$__wtenv_switched"
        set __wtenv_decision failed
        __wtenv_leave
        __wtenv_say failed "nothing is active here: $__wtenv_command[1] gave no answer; install wtenv again, then restart this shell"
    end
end

# Called by a cached activation's __wtenv_load: KIND ID MESSAGE LEVEL LEAVE_MESSAGE WITNESSES. There are its
# $__wtenv_stale, __wtenv_depends and __wtenv_enter, too; unless these functions are copies of another shell's, with
# other witnesses.
function __wtenv_switch
    if test "$argv[6]" != "$__wtenv_witnesses"
        return 0
    else if test "$__wtenv_decision" = cached; and $__wtenv_test "" $__wtenv_stale $__wtenv_real_root
        return 0
    end
    set __wtenv_leave_message $argv[5]
    set __wtenv_watch __wtenv_stale
    if test $argv[1] != active
        __wtenv_leave
        set __wtenv_decision $argv[1]
    else if test "$WTENV_ID" = $argv[2]; and __wtenv_is_whole
        set __wtenv_last_message $argv[2]
    else
        test "$WTENV_ROOT" = "$__wtenv_root"; and set __wtenv_last_message $argv[2]
        __wtenv_leave
        if test "$__wtenv_decision" = cached; and not __wtenv_depends
            return 0
        end
        __wtenv_enter
        if set -q _OLD_VIRTUAL_PATH[1] # what a virtual environment's `deactivate` goes back to
            __wtenv_merge "$_OLD_VIRTUAL_PATH" "$WTENV_OLD_PATH_" "$WTENV_NEW_PATH_"
            set _OLD_VIRTUAL_PATH "$__wtenv_merged"
            set -e __wtenv_merged
        end
    end
    set __wtenv_inherited
    set __wtenv_switched 1
    set __wtenv_loaded_root $__wtenv_root
    __wtenv_say $argv[2] "$argv[3]" "$argv[4]"
end

# What another shell entered may have been rearranged by this shell's config (a conda that activates
# its base, pyenv's shims put first): then enter anew. Later changes are the user's own, as long as we are on PATH.
function __wtenv_is_whole
    if test -z "$__wtenv_inherited"
        __wtenv_is_first
        return
    end
    __wtenv_is_mine; and test "$PATH" = "$WTENV_NEW_PATH_"; and begin
        not set -q WTENV_NEW_CONDA_PREFIX_; or test "$CONDA_PREFIX" = "$WTENV_NEW_CONDA_PREFIX_"
    end
end

# Is the first of what we put on PATH still there? Not so where all of it was replaced (a snapshot of another shell).
function __wtenv_is_first
    set -l --path __wtenv_path "$WTENV_NEW_PATH_"
    test -z "$__wtenv_path[1]"; or builtin contains -- $__wtenv_path[1] $PATH
end

# Say $argv[2] once for each id $argv[1]; "enter" messages only where someone is looking. What happens in a command
# substitution is often undone at its end (`(cd x; pwd)` in a prompt): if it is not, it is said at the next prompt.
function __wtenv_say
    if test -z "$argv[2]"; or test "$__wtenv_last_message" = "$argv[1]"
        return 0
    else if status is-command-substitution
        set __wtenv_watch __wtenv_always
        return 0
    end
    set __wtenv_last_message $argv[1]
    if test "$argv[3]" != enter; or status is-interactive
        builtin echo "wtenv: $argv[2]" >&2
    end
end

# Not interactive, or `fish -ic`, which has no prompt: now. Else before the first prompt.
set -l __wtenv_arguments
if status is-interactive; and test -r /proc/$fish_pid/cmdline
    set __wtenv_arguments (string split0 </proc/$fish_pid/cmdline)
end
if not status is-interactive; or string match -qr -- '^(-[a-zA-Z]*c|--command)' $__wtenv_arguments
    __wtenv_check
end
