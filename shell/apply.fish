# wtenv for fish: enter and leave in general, as `apply` and `undo` of src/wtenv/environ.py do. Part of the hook, whose
# rules are in hook.fish; also given out alone, by `wtenv export fish`.
#
# Variables that stay in the shell (all global, none exported):
#   __wtenv_entered     PROCESS:ID of what this shell itself has entered; what came with the environment has none
#   __wtenv_unexported  what was not in the environment before we changed it
#   __wtenv_universal   what hides a universal variable, and is only to be removed on leaving
#   __wtenv_fast        set if __wtenv_leave_fast belongs to what is active
#   __wtenv_swept       the process that has no state left over from another shell

set -g __wtenv_entered

# Enter: ROOT ID UID PREFIX NAME MODIFIER PROMPT NAMES, then any number of
#   s NAME VALUE   S NAME VALUE (a list)   u NAME -   f NAME ENTRIES   b NAME ENTRIES
# where each name comes once (b may follow f of the same list). NAMES has them all; a list's ends in ":".
# A `for` over them: taking away from a list, or appending to one, copies all of it.
function __wtenv_apply
    set -g __wtenv_unexported
    set -g __wtenv_universal
    set -e __wtenv_fast
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
            set __wtenv_level (builtin math $__wtenv_level + 0) # without leading zeros: it becomes part of a name
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
                set -gx WTENV_NEW_$argv[2]_ $argv[3]
                continue
            end
            set __wtenv_old
        else
            if test "$argv[1] $argv[2]" = "b $__wtenv_front" # its other end is done
                set -gx $argv[2] "$$argv[2]:$argv[3]"
                set -gx WTENV_NEW_$argv[2]_ "$$argv[2]"
                continue
            end
            set __wtenv_old "$$argv[2]"
            set -qx $argv[2]; or set -a __wtenv_unexported $argv[2]
            # A universal variable is shadowed, not changed: leaving removes the shadow.
            set -qU $argv[2]; and not set -qg $argv[2]; and set -a __wtenv_universal $argv[2]
            set -l __wtenv_list $$argv[2]
            # A path variable, as its name says, or as the copy does, which is joined by " " and not by ":".
            if string match -q '*PATH' -- $argv[2]; or test "$__wtenv_list" != "$__wtenv_old"
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
                set -gx WTENV_NEW_$argv[2]_ "$$argv[2]"
                test $argv[1] = f; and set __wtenv_front $argv[2]
            else
                set -e WTENV_OLD_$argv[2]_
                set -a __wtenv_refused $argv[2]
            end
        end
    end 2>/dev/null # once, here: each redirection costs
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
    set -gx WTENV_VARS (string trim -r -- $__wtenv_vars) # where only conda's part has changed, it ends in a space
end

# Leave: take our changes back by value, keep the user's.
function __wtenv_leave
    if not set -q WTENV_VARS; and not set -q WTENV_ROOT
        set -e __wtenv_fast
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
    if set -q __wtenv_fast
        set -e __wtenv_fast
        if __wtenv_leave_fast
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
    if builtin contains -- $argv[1] $__wtenv_unexported
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
    # Whatever differs from what we gave counts as the user's, and stays.
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
