# Completion of rota(1) in bash: rota itself knows how.
source <(rota completions bash)
