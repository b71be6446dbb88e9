// The smallest Git server over SSH.
module causeway.dev/e2e/tools/git-over-ssh

go 1.26.0

require golang.org/x/crypto v0.49.0

require golang.org/x/sys v0.42.0 // indirect
