# Completion of rota(1) in fish: rota itself knows how.
rota completions fish | source
