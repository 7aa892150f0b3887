// Command user runs the user service.
package main

import "lms/apps/user/entry"

func main() { entry.Main() }
