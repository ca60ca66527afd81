# wtenv for fish, from 3.2 on. Sourcing it twice changes nothing.
#
# fish keeps lists where other shells have strings: "$$name" in quotes is what a child process would see
# (a variable called *PATH joins with ":", any other with " "), $$name without quotes keeps the list.
# Command substitutions split at newlines, so values never pass through one. `builtin` is for functions
# of the same name (set, test, string and the keywords can't be redefined).

# --- apply and undo: also given out alone, by `wtenv export fish` -------------------------------------

set -g __wtenv_entered # by this shell, not by its environment

# Enter: ROOT ID UID PREFIX NAME MODIFIER PROMPT NAMES, then any number of
#   s NAME VALUE   S NAME VALUE (a list)   u NAME -   f NAME ENTRIES   b NAME ENTRIES
# where each name comes once (b may follow f of the same list). NAMES has them all; a list's ends in ":".
# A `for` over them: taking away from a list, or appending to one, copies all of it.
function __wtenv_apply
    set -g __wtenv_plain
    set -g __wtenv_universal
    set -e __wtenv_straight
    set -l __wtenv_refused
    set -l __wtenv_cut
    set -l __wtenv_old
    set -l __wtenv_front
    set -l __wtenv_kind
    set -l __wtenv_name
    set -l __wtenv_level 0
    set -l __wtenv_head $argv[1..8]
    set -l __wtenv_vars $argv[8]
    set -e argv[1..8]
    if test -n "$__wtenv_head[4]" # conda's own stack, one level up
        if string match -qr '^\d{1,3}$' -- "$CONDA_SHLVL"; and test -n "$CONDA_PREFIX"
            set __wtenv_level $CONDA_SHLVL
        end
        set -p argv s CONDA_PREFIX $__wtenv_head[4] s CONDA_DEFAULT_ENV $__wtenv_head[5] s CONDA_PROMPT_MODIFIER $__wtenv_head[6]
        set __wtenv_vars "CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_PROMPT_MODIFIER $__wtenv_vars"
        if test $__wtenv_level -eq 0
            set -p argv s CONDA_SHLVL 1
            set __wtenv_vars "CONDA_SHLVL $__wtenv_vars"
        else
            set __wtenv_level (builtin math $__wtenv_level + 0)
            set __wtenv_cut "$CONDA_PREFIX/bin"
            if test "$CONDA_PREFIX" != "$__wtenv_head[4]" # else conda re-activates in place
                set -p argv s CONDA_PREFIX_$__wtenv_level "$CONDA_PREFIX" s CONDA_SHLVL (builtin math $__wtenv_level + 1)
                set __wtenv_vars "CONDA_PREFIX_$__wtenv_level CONDA_SHLVL $__wtenv_vars"
            end
        end
    end
    for __wtenv_value in $argv
        if not set -q __wtenv_kind[1]
            set __wtenv_kind $__wtenv_value
            continue
        else if not set -q __wtenv_name[1]
            set __wtenv_name $__wtenv_value
            continue
        end
        set argv $__wtenv_kind $__wtenv_name $__wtenv_value
        set __wtenv_kind
        set __wtenv_name
        if not set -q $argv[2]
            if test $argv[1] = s; and set -gx $argv[2] $argv[3] # the common case
                set -gx WTENV_NEW_{$argv[2]}_ $argv[3]
                continue
            end
            set __wtenv_old
        else
            if test "$argv[1] $argv[2]" = "b $__wtenv_front" # its other end is done
                set -gx $argv[2] "$$argv[2]:$argv[3]"
                set -gx WTENV_NEW_{$argv[2]}_ "$$argv[2]"
                continue
            end
            set __wtenv_old "$$argv[2]"
            set -qx $argv[2]; or set -a __wtenv_plain $argv[2]
            # A universal variable is shadowed, not changed: leaving removes the shadow.
            set -qU $argv[2]; and not set -qg $argv[2]; and set -a __wtenv_universal $argv[2]
            set -l __wtenv_list $$argv[2]
            if string match -q '*PATH' -- $argv[2]; or test "$__wtenv_list" != "$__wtenv_old" # joined by ":"
                set -gx WTENV_OLD_$argv[2]_ $__wtenv_old
            else
                set -gx WTENV_OLD_$argv[2]_ $$argv[2]
            end
            if set -q __wtenv_cut[1]; and test $argv[2] = PATH
                set -l --path __wtenv_path $PATH
                if set -l __wtenv_index (builtin contains -i -- $__wtenv_cut $__wtenv_path)
                    set -e __wtenv_path[$__wtenv_index]
                end
                set __wtenv_old "$__wtenv_path"
            end
        end
        switch $argv[1] # an empty list has no entries: no ":" that would mean "here"
            case f
                test -n "$__wtenv_old"; and set argv[3] "$argv[3]:$__wtenv_old"
            case b
                test -n "$__wtenv_old"; and set argv[3] "$__wtenv_old:$argv[3]"
            case u
                # An exported universal variable can only be hidden by an unexported global one.
                if builtin contains -- $argv[2] $__wtenv_universal
                    set -gu $argv[2]
                else
                    set -eg $argv[2]
                end
        end
        if test $argv[1] != u
            if set -gx $argv[2] $argv[3]
                set -gx WTENV_NEW_{$argv[2]}_ "$$argv[2]"
                test $argv[1] = f; and set __wtenv_front $argv[2]
            else
                set -e WTENV_OLD_$argv[2]_
                set -a __wtenv_refused $argv[2]
            end
        end
    end 2>/dev/null
    if set -q __wtenv_refused[1]
        builtin echo "wtenv: left as they are, read-only in this shell: $__wtenv_refused" >&2
        set -l __wtenv_kept
        for __wtenv_name in (string split ' ' -- $__wtenv_vars)
            builtin contains -- (string replace : '' -- $__wtenv_name) $__wtenv_refused; or set -a __wtenv_kept $__wtenv_name
        end
        set __wtenv_vars "$__wtenv_kept"
    end
    set -g __wtenv_entered $fish_pid:$__wtenv_head[2]
    set -gx WTENV_ROOT $__wtenv_head[1]
    set -gx WTENV_ID $__wtenv_head[2]
    set -gx WTENV_UID $__wtenv_head[3]
    set -gx WTENV_VARS (string trim -r -- $__wtenv_vars)
end

# Leave: take our changes back by value, keep the user's.
function __wtenv_leave
    if not set -q WTENV_VARS; and not set -q WTENV_ROOT
        set -e __wtenv_straight
        # What else there is of it has come with the environment.
        test "$__wtenv_swept" = $fish_pid; or __wtenv_sweep
        return 0
    end
    if set -q _OLD_VIRTUAL_PATH[1] # what a virtual environment's `deactivate` goes back to
        if __wtenv_is_mine
            __wtenv_merge "$_OLD_VIRTUAL_PATH" "$WTENV_NEW_PATH_" "$WTENV_OLD_PATH_"
        else # nothing of another user's comes back
            __wtenv_merge "$_OLD_VIRTUAL_PATH" "$WTENV_NEW_PATH_" "$WTENV_OLD_PATH_" 1
        end
        set _OLD_VIRTUAL_PATH "$__wtenv_merged"
    end
    if set -q __wtenv_straight # spelled out by the entry that entered
        set -e __wtenv_straight
        if __wtenv_exit
            return 0
        end
    end
    set -l __wtenv_moved
    set -l __wtenv_theirs
    # Of another user's state (su, sudo, ssh) what that has added goes, and none of its values comes back.
    if not __wtenv_is_mine
        set __wtenv_theirs 1
    else if set -q WTENV_NEW_CONDA_PREFIX_; and test "$CONDA_PREFIX" != "$WTENV_NEW_CONDA_PREFIX_"
        set __wtenv_moved 1 # the user has activated or deactivated a conda environment inside
        __wtenv_unstack
    end
    string match -qr '^ ?([A-Za-z_][A-Za-z0-9_]*:?( |$))*$' -- "$WTENV_VARS"; or set -e WTENV_VARS # not from us
    set -l __wtenv_names (string replace -a : '' -- "$WTENV_VARS" | string split -n ' ')
    # Some names are never touched, whatever the environment says. What this shell itself has entered has none of them.
    if test "$__wtenv_entered" != "$fish_pid:$WTENV_ID"
        set __wtenv_names (string match -rv '^(?:@RESERVED_PATTERN@|(?:__wtenv|__fish|WTENV)_.*)$' -- $__wtenv_names)
    end
    for __wtenv_name in $__wtenv_names
        set -l __wtenv_old WTENV_OLD_{$__wtenv_name}_
        set -l __wtenv_new WTENV_NEW_{$__wtenv_name}_
        set -l __wtenv_ours # still as we left it
        if not set -q $__wtenv_new # unset by us; hidden (see "u" above) counts as unset
            set -qx $__wtenv_name; or set __wtenv_ours 1
        else if not set -q $__wtenv_name
            continue # the user has unset it
        else if test "$$__wtenv_name" = "$$__wtenv_new"
            set -q __wtenv_theirs[1]; and string match -q "* $__wtenv_name: *" -- " $WTENV_VARS "; or set __wtenv_ours 1
        end
        if set -q __wtenv_ours[1]
            if not set -q $__wtenv_old; or set -q __wtenv_theirs[1]; or builtin contains -- $__wtenv_name $__wtenv_universal
                set -eg $__wtenv_name
            else
                __wtenv_restore $__wtenv_name $$__wtenv_old
            end
        else if string match -q "* $__wtenv_name: *" -- " $WTENV_VARS "
            if set -q __wtenv_theirs[1]; or test $__wtenv_name = PATH -a -n "$__wtenv_moved"
                # Nor in a PATH that conda has changed: it has put its entry back, or another one in its place.
                __wtenv_merge "$$__wtenv_name" "$$__wtenv_new" "$$__wtenv_old" 1
            else
                __wtenv_merge "$$__wtenv_name" "$$__wtenv_new" "$$__wtenv_old"
            end
            if test -n "$__wtenv_merged"; or set -q $__wtenv_old
                __wtenv_restore $__wtenv_name "$__wtenv_merged"
            else
                set -eg $__wtenv_name
            end
        end
    end
    if test "$__wtenv_swept" = $fish_pid # what came with the environment is gone
        set -e WTENV_OLD_{$__wtenv_names}_ WTENV_NEW_{$__wtenv_names}_ WTENV_ROOT WTENV_ID WTENV_UID WTENV_VARS __wtenv_merged
    else
        __wtenv_sweep
    end
end

# Nothing of the state remains.
function __wtenv_sweep
    set -g __wtenv_swept $fish_pid
    set -e (set -nx | string match -r '^WTENV_(?:OLD_.*|NEW_.*|ROOT|ID|UID|VARS)$') __wtenv_merged
end

# Whether this user's shell has entered. fish before 3.5 does not know who it is.
function __wtenv_is_mine
    set -l __wtenv_user $EUID
    set -q __wtenv_user[1]; or set __wtenv_user (command id -u)
    test "$WTENV_UID" = "$__wtenv_user"
end

function __wtenv_restore
    if string match -q '*PATH' -- $argv[1]; and test -z "$argv[2]"
        set -e argv[2] # an empty list; one empty entry would come back as "."
    end
    if builtin contains -- $argv[1] $__wtenv_plain
        set -gu $argv[1] $argv[2..-1]
    else
        set -gx $argv[1] $argv[2..-1]
    end
end

# Take our level out of conda's stack where the user has activated another environment on top of it.
function __wtenv_unstack
    if not string match -qr '^\d{1,3}$' -- "$CONDA_SHLVL"; or not string match -qr '^\d{1,3}$' -- "$WTENV_NEW_CONDA_SHLVL_"
        return 0
    end
    set -l __wtenv_level $WTENV_NEW_CONDA_SHLVL_
    set -l __wtenv_name CONDA_PREFIX_$__wtenv_level
    if test $CONDA_SHLVL -le $__wtenv_level; or test "$$__wtenv_name" != "$WTENV_NEW_CONDA_PREFIX_"
        return 0
    end
    set -gx WTENV_NEW_CONDA_SHLVL_ settled
    set -gx WTENV_NEW_CONDA_PREFIX_(builtin math $__wtenv_level - 1)_ settled
    while test $__wtenv_level -lt (builtin math $CONDA_SHLVL - 1)
        set __wtenv_name CONDA_PREFIX_(builtin math $__wtenv_level + 1)
        set -gx CONDA_PREFIX_$__wtenv_level "$$__wtenv_name"
        set __wtenv_level (builtin math $__wtenv_level + 1)
    end
    set -e CONDA_PREFIX_$__wtenv_level
    set -gx CONDA_SHLVL $__wtenv_level
end

# __wtenv_merged: the list $argv[1] with the changes from $argv[3] to $argv[2] taken back; with $argv[4],
# what we took out stays out.
function __wtenv_merge
    # A local path variable splits at ":" without a command substitution.
    set -l --path __wtenv_now
    set -l --path __wtenv_new
    set -l --path __wtenv_old
    test -n "$argv[1]"; and set __wtenv_now "$argv[1]"
    test -n "$argv[2]"; and set __wtenv_new "$argv[2]"
    test -n "$argv[3]"; and set __wtenv_old "$argv[3]"
    set -l __wtenv_left $__wtenv_old
    set -l __wtenv_index
    for __wtenv_e in $__wtenv_new # what we added goes
        if set __wtenv_index (builtin contains -i -- $__wtenv_e $__wtenv_left)
            set -e __wtenv_left[$__wtenv_index]
        else if set __wtenv_index (builtin contains -i -- $__wtenv_e $__wtenv_now)
            set -e __wtenv_now[$__wtenv_index]
        end
    end
    if not set -q argv[4] # what we took out comes back, before its old successor
        for __wtenv_e in $__wtenv_left
            builtin contains -- $__wtenv_e $__wtenv_now; and continue
            set -l __wtenv_place
            set -l __wtenv_after $__wtenv_old
            set -e __wtenv_after[1..(builtin contains -i -- $__wtenv_e $__wtenv_old)]
            for __wtenv_next in $__wtenv_after
                if set __wtenv_place (builtin contains -i -- $__wtenv_next $__wtenv_now)
                    break
                end
            end
            if test -z "$__wtenv_place"
                set -a __wtenv_now $__wtenv_e
            else if test $__wtenv_place -eq 1
                set -p __wtenv_now $__wtenv_e
            else
                set __wtenv_now $__wtenv_now[1..(builtin math $__wtenv_place - 1)] $__wtenv_e $__wtenv_now[$__wtenv_place..-1]
            end
        end
    end
    set -g __wtenv_merged "$__wtenv_now"
end

# --- the hook -----------------------------------------------------------------------------------------

@SETTINGS@

# Whose state is this? What is copied into another shell (a snapshot of functions) has to do nothing there. Kept where
# it is sourced again, or by an entry of a newer version.
if test "$__wtenv_shell" != $fish_pid
    set -e __wtenv_pwd __wtenv_root __wtenv_held __wtenv_watch __wtenv_adopted __wtenv_straight
    set -e __wtenv_top __wtenv_here __wtenv_way
    set -g __wtenv_shell $fish_pid
end
for __wtenv_name in pwd root held watch said farewell from adopted settled top here way
    set -q __wtenv_$__wtenv_name; or set -g __wtenv_$__wtenv_name
end
set -e __wtenv_name
# What makes a prompt decide anew: one of these, or $__wtenv_stale, which each entry has.
set -g __wtenv_always -o -n x
set -g __wtenv_outside -o -e .git
set -g __wtenv_never
test -n "$__wtenv_watch"; or set __wtenv_watch __wtenv_always

# fish compares times from 3.6 on; before, the program of that name has to.
set -g __wtenv_test test
test / -nt '' 2>/dev/null; or set __wtenv_test (builtin command -s test)

# Does it compare to the nanosecond? Else entries have to be fresher.
set -g __wtenv_coarse 1
if $__wtenv_test $__wtenv_cache/fine.2 -nt $__wtenv_cache/fine.1
    set __wtenv_coarse ''
end

# At the prompt: nothing if what the entry in effect depends on is as it was, in one `test`: each costs more than
# most of what it looks at. In a copy there are no variables, and `test ""` is false.
if test "$__wtenv_test" = test
    function __wtenv_check --on-event fish_prompt
        test "$WTENV_DISABLE" $$__wtenv_watch $__wtenv_here $__wtenv_way; and __wtenv_decide
    end
else
    function __wtenv_check --on-event fish_prompt
        set -q __wtenv_test; and $__wtenv_test "$WTENV_DISABLE" $$__wtenv_watch $__wtenv_here $__wtenv_way; and __wtenv_decide
    end
end

function __wtenv_move --on-variable PWD
    __wtenv_decide # also by the same name, which may lead elsewhere by now
end

function __wtenv_decide
    test "$__wtenv_shell" = $fish_pid; or return 0 # copied from another shell
    if test -n "$WTENV_DISABLE"
        if test "$__wtenv_from" != disabled
            set __wtenv_from disabled
            set __wtenv_pwd
            set __wtenv_root
            set __wtenv_said
            set __wtenv_farewell
            set __wtenv_watch __wtenv_always
            __wtenv_leave
        end
        return 0
    end
    set -l __wtenv_dir $PWD
    test "$PWD" = /; and set __wtenv_dir ''
    set -l __wtenv_up ''
    while not test -e "$__wtenv_dir/.git" -o -e $__wtenv_up.git -o -z "$__wtenv_dir"
        # A named group sets a variable without a command substitution, which would cost more than all the rest.
        string match -qr '^(?<__wtenv_dir>(?s:.*))/' -- $__wtenv_dir
        set __wtenv_up $__wtenv_up../
    end
    set -l __wtenv_real
    if not $__wtenv_test "$__wtenv_dir/." -ef $__wtenv_up.
        # What $PWD names is not where the shell stands: a symlink leads here, or has been turned since, or the folder
        # was deleted and made anew. The real folder counts, as it does for what the shell starts.
        set __wtenv_dir (builtin realpath . 2>/dev/null | string collect)
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
    set __wtenv_pwd $PWD
    test -n "$__wtenv_dir"; or set __wtenv_dir /
    # What a prompt looks at besides, as words of `test`: a new `.git` here, and that the shell still is where it was.
    set __wtenv_here
    test -z "$__wtenv_up"; or set __wtenv_here -o -e .git
    set __wtenv_top $__wtenv_up.
    if not test -e "$__wtenv_dir/.git"
        set __wtenv_way
        test -z "$__wtenv_real"; or set __wtenv_way -o ! . -ef $__wtenv_real
        set __wtenv_from outside
        set __wtenv_root
        set __wtenv_said
        set __wtenv_watch __wtenv_outside
        __wtenv_leave
        if test -n "$__wtenv_farewell"
            __wtenv_say left $__wtenv_farewell enter
            set __wtenv_farewell
        end
    else if test "$__wtenv_dir" = "$__wtenv_root"; and not $__wtenv_test "" $$__wtenv_watch $__wtenv_way; and __wtenv_is_first
        test -z "$__wtenv_real"; or set __wtenv_way -o ! $__wtenv_top -ef $__wtenv_real
        set __wtenv_from 'same root'
    else
        set __wtenv_way
        test -z "$__wtenv_real"; or set __wtenv_way -o ! $__wtenv_top -ef $__wtenv_real
        __wtenv_load $__wtenv_dir
    end
    if set -q WTENV_DEBUG[1]
        builtin echo "wtenv: debug: $PWD: $__wtenv_from" >&2
    end
end

# Put into effect what is known of the root $argv, or ask.
function __wtenv_load
    test "$argv" = "$__wtenv_root"; or set __wtenv_said
    set __wtenv_root $argv
    set __wtenv_settled
    set __wtenv_from cached
    set -l __wtenv_last $__wtenv_held
    set __wtenv_held
    if test "$__wtenv_last" = "$__wtenv_root" # the entry is still in memory
        __wtenv_arrive
    end
    if test -z "$__wtenv_settled"
        set -l __wtenv_file $__wtenv_cache$__wtenv_root/%wtenv.fish$__wtenv_coarse
        if test -O "$__wtenv_file" -a -O $__wtenv_cache
            builtin source $__wtenv_file
        end
    end
    if test -z "$__wtenv_settled"
        test "$WTENV_ROOT" = "$__wtenv_root"; or __wtenv_leave
        # Ctrl-C from here on ends this function: then nothing is retried until something changes.
        set __wtenv_from computed
        set __wtenv_watch __wtenv_never
        $__wtenv_command $__wtenv_root "$__wtenv_coarse" | builtin source
    end
    if test -z "$__wtenv_settled"
        set __wtenv_from failed
        __wtenv_leave
        __wtenv_say failed "nothing is active here: $__wtenv_command[1] gave no answer; install wtenv again, then restart this shell"
    end
end

# Called by an entry's __wtenv_arrive: KIND ID MESSAGE LEVEL FAREWELL STAMPS. There are $__wtenv_watch, __wtenv_guard
# and __wtenv_enter of this entry, too; unless these functions are copies of another shell's, with other stamps than ours.
function __wtenv_settle
    if test "$argv[6]" != "$__wtenv_stamps"
        return 0
    else if test $__wtenv_from = cached; and $__wtenv_test "" $__wtenv_stale $__wtenv_way
        return 0
    end
    set __wtenv_farewell $argv[5]
    set __wtenv_watch __wtenv_stale
    if test $argv[1] != active
        __wtenv_leave
        set __wtenv_from $argv[1]
    else if test "$WTENV_ID" = $argv[2]; and __wtenv_is_whole
        set __wtenv_said $argv[2]
    else
        test "$WTENV_ROOT" = "$__wtenv_root"; and set __wtenv_said $argv[2]
        __wtenv_leave
        if test $__wtenv_from = cached; and not __wtenv_guard
            return 0
        end
        __wtenv_enter
        if set -q _OLD_VIRTUAL_PATH[1] # what a virtual environment's `deactivate` goes back to
            __wtenv_merge "$_OLD_VIRTUAL_PATH" "$WTENV_OLD_PATH_" "$WTENV_NEW_PATH_"
            set _OLD_VIRTUAL_PATH "$__wtenv_merged"
            set -e __wtenv_merged
        end
    end
    set __wtenv_adopted 1
    set __wtenv_settled 1
    set __wtenv_held $__wtenv_root
    __wtenv_say $argv[2] "$argv[3]" "$argv[4]"
end

# What another shell entered may have been rearranged by this shell's config (a conda that activates
# its base, pyenv's shims put first): then enter anew. Later changes are the user's own, as long as we are on PATH.
function __wtenv_is_whole
    if test -n "$__wtenv_adopted"
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
    if test -z "$argv[2]"; or test "$__wtenv_said" = "$argv[1]"
        return 0
    else if status is-command-substitution
        set __wtenv_watch __wtenv_always
        return 0
    end
    set __wtenv_said $argv[1]
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
