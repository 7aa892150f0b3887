package childproc

// Memory is what a process occupies, in bytes.
type Memory struct {
	RSS int64 `json:"rss"`
	PSS int64 `json:"pss"`
}

// Add is the sum of both.
func (m Memory) Add(o Memory) Memory { return Memory{RSS: m.RSS + o.RSS, PSS: m.PSS + o.PSS} }

// TreeUsage is the memory of a process and all its descendants.
func TreeUsage(pid int) Memory {
	var sum Memory
	for _, p := range Tree(pid) {
		sum = sum.Add(Usage(p))
	}
	return sum
}
