package broker

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceKey is the request that brings records.
const produceKey = 0

// A record batch begins with its offset and length; the checksum stands before
// the attributes and covers all from there on.
const (
	batchHead = 12
	crcAt     = 17
	crcFrom   = 21
)

// dropper loses a share of the records that it acknowledges: what a broker does
// that answers before the disk has them. It is for fault tests.
type dropper struct {
	share float64
	log   io.Writer

	mu      sync.Mutex
	seen    int
	dropped int
}

// dropRecords takes records out of produce requests before the broker stores
// them. The answer to the producer is the one it expects.
func dropRecords(cluster *kfake.Cluster, share float64, log io.Writer) {
	d := &dropper{share: share, log: log}
	cluster.ControlKey(produceKey, func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req, ok := r.(*kmsg.ProduceRequest)
		if !ok {
			return nil, nil, false
		}
		if left := d.thin(req); left > 0 {
			return nil, nil, false // the broker stores the rest and answers
		}
		return acknowledge(req), nil, true
	})
}

// thin takes records out of all batches and returns how many batches are left.
// A request keeps its batches unless all of them are empty: the broker's own
// answer must name each.
func (d *dropper) thin(req *kmsg.ProduceRequest) (left int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	type choice struct {
		at     *kmsg.ProduceRequestTopicPartition
		keep   []byte
		n      int
		losses []string
		topic  string // empty where the client names it by its id
	}
	var choices []choice
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			keep, n, losses, err := thinBatch(p.Records, func() bool { return rand.Float64() < d.share })
			if err != nil {
				_, _ = fmt.Fprintf(d.log, "broker: batch not thinned: %v\n", err) // the log has nowhere to complain to
				keep, n = p.Records, 1
			}
			d.seen += n + len(losses)
			choices = append(choices, choice{p, keep, n, losses, req.Topics[i].Topic})
			if n > 0 {
				left++
			}
		}
	}
	for _, c := range choices {
		if c.n == 0 && left > 0 {
			continue // kept whole
		}
		c.at.Records = c.keep
		for _, key := range c.losses {
			d.dropped++
			_, _ = fmt.Fprintf(d.log, "broker: dropped %s topic=%s (%d of %d)\n", key, c.topic, d.dropped, d.seen)
		}
	}
	return left
}

// thinBatch rebuilds a batch without the records that drop chooses. It returns
// the batch, how many records it has, and the keys of those that are gone.
func thinBatch(raw []byte, drop func() bool) (out []byte, n int, losses []string, err error) {
	var b kmsg.RecordBatch
	if err := b.ReadFrom(raw); err != nil {
		return nil, 0, nil, fmt.Errorf("read a batch: %w", err)
	}
	if b.Attributes&0x7 != 0 || b.ProducerID >= 0 {
		return nil, 0, nil, fmt.Errorf("compressed or numbered by its producer (attributes %#x, producer %d)", b.Attributes, b.ProducerID)
	}
	var kept []byte
	rest := b.Records
	for range b.NumRecords {
		var r kmsg.Record
		if err := r.ReadFrom(rest); err != nil {
			return nil, 0, nil, fmt.Errorf("read a record: %w", err)
		}
		length, width := binary.Varint(rest)
		rest = rest[width+int(length):]
		if drop() {
			losses = append(losses, strings.ToValidUTF8(string(r.Key), "?"))
			continue
		}
		r.OffsetDelta = int32(n)
		kept = appendRecord(kept, r)
		n++
	}
	if len(losses) == 0 {
		return raw, n, nil, nil
	}
	b.Records, b.NumRecords, b.LastOffsetDelta = kept, int32(n), int32(n)-1
	return seal(b.AppendTo(nil)), n, losses, nil
}

func appendRecord(dst []byte, r kmsg.Record) []byte {
	r.Length = 0 // one byte; what is behind it is what the length counts
	r.Length = int32(len(r.AppendTo(nil)) - 1)
	return r.AppendTo(dst)
}

// seal writes the length and the checksum of a batch.
func seal(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-batchHead))
	binary.BigEndian.PutUint32(raw[crcAt:], crc32.Checksum(raw[crcFrom:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// acknowledge is the answer of a broker that has stored everything.
func acknowledge(req *kmsg.ProduceRequest) kmsg.Response {
	resp, ok := req.ResponseKind().(*kmsg.ProduceResponse)
	if !ok || req.Acks == 0 {
		return nil
	}
	for _, t := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition = p.Partition
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
