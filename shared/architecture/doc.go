// Package architecture holds the rules of the code's structure as tests: who
// may import whom, and what every file has in common.
package architecture
