// Command course is the course service: courses, modules, curricula.
package main

import "lms/apps/course/entry"

func main() { entry.Main() }
