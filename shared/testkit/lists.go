package testkit

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Sorted reads a list in each of its orders and in that turned round, page by page.
// want says for each order which items come, by a member of theirs; others of the list
// are left out. It fails where an item is missing, comes twice or stands elsewhere, and
// where a cursor is taken in another order than its own.
func Sorted(t testing.TB, c *Client, path, member string, want map[string][]string) {
	t.Helper()
	require.Greater(t, len(want), 1, "a list with one order needs no sort")
	cursors := map[string]string{}
	for sort, items := range want {
		got, cursor := walk(t, c, path, sort, member, items)
		require.Equal(t, items, got, "%s by %s", path, sort)
		cursors[sort] = cursor
		items = slices.Clone(items)
		slices.Reverse(items)
		got, cursor = walk(t, c, path, "-"+sort, member, items)
		require.Equal(t, items, got, "%s by -%s", path, sort)
		cursors["-"+sort] = cursor
	}
	for of, cursor := range cursors {
		for sort := range cursors {
			if sort != of {
				c.GET(address(path, sort, cursor)).Expect(http.StatusBadRequest).Code("bad_cursor")
			}
		}
	}
	c.GET(address(path, "shoe_size", "")).Expect(http.StatusUnprocessableEntity)
}

func address(path, sort, cursor string) string {
	glue := "?"
	if strings.Contains(path, "?") {
		glue = "&"
	}
	return path + glue + "limit=2&sort=" + sort + "&cursor=" + cursor
}

// walk are the items of a list that are known, and the cursor of its first page.
func walk(t testing.TB, c *Client, path, sort, member string, known []string) (out []string, first string) {
	t.Helper()
	cursor := ""
	for pages := 0; ; pages++ {
		var list struct {
			Items      []map[string]any `json:"items"`
			NextCursor string           `json:"next_cursor"`
		}
		c.GET(address(path, sort, cursor)).Expect(http.StatusOK).JSON(&list)
		for _, item := range list.Items {
			if v := fmt.Sprint(item[member]); slices.Contains(known, v) {
				out = append(out, v)
			}
		}
		if cursor = list.NextCursor; pages == 0 {
			require.NotEmpty(t, cursor, "%s has more than one page", path)
			first = cursor
		}
		if cursor == "" {
			return out, first
		}
		require.Less(t, pages, 100, "the pages come to an end")
	}
}
