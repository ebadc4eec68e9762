One YAML file here is one job of rotad. A file that ends in .yaml or .yml is armed as soon as it is here, and its job is
gone as soon as the file is. Files belong to root, and nobody else may write to them. What they may say: rotad-job(5).
Examples: /usr/share/doc/rotad/examples. `rota check` tells what is wrong.
