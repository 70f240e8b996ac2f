# Types each argument into an interactive zsh, presses TAB behind it, and prints the line that zsh has made of it.
zmodload zsh/zpty
zpty typed zsh -f -i
zpty -w typed 'PROMPT= RPROMPT=; autoload -Uz compinit; compinit -D -u; setopt NO_BEEP; source <(etcd-pki completions zsh)'
zpty -w typed 'show() { print -r -- "LINE<$BUFFER>" }; zle -N show; bindkey "^X" show; print REA""DY'
zpty -r typed out '*READY*'
for line; do
    zpty -w -n typed "$line"$'\t\x18'
    zpty -r typed out '*LINE<*>*'
    print -r -- "${${out##*LINE<}%%>*}"
    zpty -w -n typed $'\x15'
done
zpty -d typed
