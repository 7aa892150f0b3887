// Command assignment is the assignment service: what learners hand in, and the
// grades of a course.
package main

import "lms/apps/assignment/entry"

func main() { entry.Main() }
