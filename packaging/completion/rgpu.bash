# bash completion for rgpu: the command itself knows its verbs, options and their words.
_rgpu()
{
    local IFS=$'\n'
    COMPREPLY=($(rgpu __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o bashdefault -o default -F _rgpu rgpu
