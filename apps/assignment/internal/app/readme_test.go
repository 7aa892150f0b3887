package app

import "flag"

var update = flag.Bool("update", false, "write what the README repeats from the code") //nolint:gochecknoglobals // a flag
