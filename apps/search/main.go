// Command search finds courses and contents for those who may see them.
package main

import "lms/apps/search/entry"

func main() { entry.Main() }
