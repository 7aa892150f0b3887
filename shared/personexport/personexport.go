// Package personexport answers a person's export: with the data itself, or, where
// there is more than an answer may carry, with an object that has it.
package personexport

import (
	"context"
	"encoding/json"
	"fmt"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/objects"
)

// maxReply is what an answer carries of data, in bytes; see
// internalapi.ExportPersonReply.
const maxReply = 3 << 20

// Reply answers with the sections that a service has of a person. Store is nil where
// there is no object store: then more than 3 MiB is refused (`export_too_large`).
func Reply(ctx context.Context, store *objects.Store, service string, in internalapi.ExportPerson, sections map[string]json.RawMessage) (internalapi.ExportPersonReply, error) {
	size := 0
	for name, raw := range sections {
		size += len(name) + len(raw)
	}
	if size <= maxReply {
		return internalapi.ExportPersonReply{Sections: sections}, nil
	}
	if store == nil {
		return internalapi.ExportPersonReply{}, apperr.New(apperr.KindTooLarge, "export_too_large", "There is more of the person than one answer can carry.")
	}
	// A repeated call writes the same object again.
	key := objects.Key(in.TenantID, "person-exports", in.RequestID, service+".json")
	if err := write(ctx, store, key, sections); err != nil {
		return internalapi.ExportPersonReply{}, err
	}
	return internalapi.ExportPersonReply{ObjectKey: key}, nil
}

func write(ctx context.Context, store *objects.Store, key string, sections map[string]json.RawMessage) error {
	raw, err := json.Marshal(sections)
	if err != nil {
		return apperr.Internal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := store.NewWriter(ctx, key, "application/json")
	if err != nil {
		return err
	}
	if _, err := w.Write(raw); err != nil {
		cancel()
		_ = w.Close() // it was called off and has nothing more to say
		return fmt.Errorf("person export: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("person export: %w", err)
	}
	return nil
}
