// Command enrollment is the enrollment service: who learns where, how far, and the
// certificates of it.
package main

import "lms/apps/enrollment/entry"

func main() { entry.Main() }
