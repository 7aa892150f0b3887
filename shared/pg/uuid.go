package pg

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// useUUID makes a connection send and read uuid.UUID as its sixteen bytes. pgx
// knows the type only by its methods for database/sql, and so wrote and parsed
// text for each id: a tenth of a service's time in transactions.
func useUUID(m *pgtype.Map) {
	id := &pgtype.Type{Name: "uuid", OID: pgtype.UUIDOID, Codec: uuidCodec{}}
	m.RegisterType(id)
	m.RegisterType(&pgtype.Type{Name: "_uuid", OID: pgtype.UUIDArrayOID, Codec: &pgtype.ArrayCodec{ElementType: id}})
}

// uuidCodec is pgx's codec with a short way for uuid.UUID and pointers to it.
type uuidCodec struct{ pgtype.UUIDCodec }

// PlanEncode implements pgtype.Codec.
func (c uuidCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case uuid.UUID:
			return encodeUUID{}
		case *uuid.UUID:
			return encodeUUIDPointer{}
		}
	}
	return c.UUIDCodec.PlanEncode(m, oid, format, value)
}

// PlanScan implements pgtype.Codec.
func (c uuidCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ok := target.(*uuid.UUID); ok && format == pgtype.BinaryFormatCode {
		return scanUUID{}
	}
	return c.UUIDCodec.PlanScan(m, oid, format, target)
}

type encodeUUID struct{}

// Encode implements pgtype.EncodePlan.
func (encodeUUID) Encode(value any, buf []byte) ([]byte, error) {
	id := value.(uuid.UUID) //nolint:forcetypeassert // the plan is made for this type
	return append(buf, id[:]...), nil
}

type encodeUUIDPointer struct{}

// Encode implements pgtype.EncodePlan. pgx sends a nil pointer as null by itself.
func (encodeUUIDPointer) Encode(value any, buf []byte) ([]byte, error) {
	id := value.(*uuid.UUID) //nolint:forcetypeassert // the plan is made for this type
	return append(buf, id[:]...), nil
}

type scanUUID struct{}

// Scan implements pgtype.ScanPlan. Null is the nil UUID, as it was by way of
// database/sql.
func (scanUUID) Scan(src []byte, target any) error {
	id := target.(*uuid.UUID) //nolint:forcetypeassert // the plan is made for this type
	switch len(src) {
	case len(id):
		copy(id[:], src)
	case 0:
		*id = uuid.Nil
	default:
		return fmt.Errorf("an id of %d bytes", len(src))
	}
	return nil
}
