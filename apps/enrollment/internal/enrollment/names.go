package enrollment

import (
	"strconv"

	"github.com/google/uuid"
)

// keyOf names a version of a course.
func keyOf(course uuid.UUID, seq int64) string {
	return course.String() + ":" + strconv.FormatInt(seq, 10)
}

// indexed is the JSON path of an element of a list.
func indexed(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }
