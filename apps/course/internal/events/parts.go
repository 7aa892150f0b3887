package events

import (
	"context"

	"lms/apps/course/internal/catalog"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/outbox"
	"lms/shared/pg"
)

// Parts takes what content and assignment say about the parts of copies, imports
// and exports that were asked of them.
func Parts(ob *outbox.Outbox, in *inbox.Inbox, s *catalog.Service, wrap func(*pg.Unit) catalog.Tx) {
	for _, name := range []string{internalapi.CallClonePart, internalapi.CallImportPart, internalapi.CallExportPart} {
		outbox.OnReply(ob, name, func(ctx context.Context, u *pg.Unit, c outbox.DoneCall, reply internalapi.PartReply) error {
			if c.Superseded {
				return nil
			}
			return s.PartReplied(ctx, wrap(u), c.Key, reply, c.Error)
		})
	}
	inbox.Receive(in, internalapi.CallPartSettled, []string{"content"}, func(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, b internalapi.PartSettled) (internalapi.Done, error) {
		return internalapi.Done{}, s.PartSettled(ctx, wrap(u), b)
	})
}
