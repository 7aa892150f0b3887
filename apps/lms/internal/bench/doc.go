// Package bench measures the running product on loopback, `make bench`: ratios
// within one run, medians of at least three, one table.
package bench
