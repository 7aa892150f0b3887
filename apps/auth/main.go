// Command auth signs people, clients and services in; see README.md.
package main

import "lms/apps/auth/entry"

func main() { entry.Main() }
