# Completion of wtenv in fish (3.2 or newer): wtenv itself says what fits.

function __wtenv_complete
    command -q wtenv; or return
    set -l word (commandline -ct)
    set -l words (commandline -opc)
    set -e words[1]
    set -l lines (command wtenv __complete fish $words "$word" 2>/dev/null)
    set -l first $lines[1]
    set -e lines[1]
    test -z "$lines"; or printf '%s\n' $lines
    set -l prefix (string match -r '^--[^=]*=' -- "$word")
    set -l rest (string replace -r '^--[^=]*=' '' -- "$word")
    switch "$first"
        case files
            string replace -r '^' -- "$prefix" (__fish_complete_path "$rest")
        case folders
            string replace -r '^' -- "$prefix" (__fish_complete_directories "$rest" '')
        case 'command *'
            __fish_complete_subcommand --fcs-skip=(math 1 + (string replace 'command ' '' $first))
    end
end

complete -c wtenv -f -a '(__wtenv_complete)'
