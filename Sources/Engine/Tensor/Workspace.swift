/// Memory for the intermediate values of one forward pass: a bump allocator over one mapping.
///
/// A pass takes what it needs and gives it back in stack order (``scoped(_:)``), or all at once (``reset()``).
/// When a pass wants more than there is, another mapping is added and ``growths`` counts it; the next ``reset()``
/// makes one mapping of them all. After the largest batch has run once, nothing is allocated any more.
///
/// Not Sendable: it belongs to one forward pass at a time.
package final class Workspace {
    private struct Chunk {
        let memory: MappedMemory
        var used = 0
    }
    private var chunks: [Chunk] = []
    /// How often memory had to be added since the start.
    package private(set) var growths = 0
    /// The most bytes that were ever in use at once.
    package private(set) var highWater = 0
    private var inUse = 0

    /// - Parameter bytes: address space to begin with, since pages cost nothing until they are written; half of it,
    ///   a quarter… if the system refuses.
    package init(bytes: Int = 1 << 20) {
        chunks.reserveCapacity(16)
        var size = max(bytes, 4096)
        while true {
            if let memory = MappedMemory(trying: size, hugePages: true) {
                chunks.append(Chunk(memory: memory))
                return
            }
            precondition(size > 4096, "no address space for a workspace")
            size /= 2
        }
    }

    /// Bytes of address space held.
    package var capacity: Int { chunks.reduce(0) { $0 + $1.memory.count } }

    /// `count` bytes aligned to 64. The content is whatever was there before.
    package func bytes(_ count: Int) -> UnsafeMutableRawPointer {
        precondition(count >= 0)
        let size = (count + 63) & ~63
        let last = chunks.count - 1
        if chunks[last].used + size > chunks[last].memory.count {
            growths += 1
            chunks.append(Chunk(memory: MappedMemory.reserve(max(size, capacity))))
        }
        let index = chunks.count - 1
        let pointer = chunks[index].memory.pointer + chunks[index].used
        chunks[index].used += size
        inUse += size
        highWater = max(highWater, inUse)
        return pointer
    }

    package func matrix(rows: Int, cols: Int) -> Matrix {
        // Rows start on cache lines, so that every row is read in the same way.
        let stride = (cols + 15) & ~15
        let pointer = bytes(rows * stride * 4).bindMemory(to: Float.self, capacity: rows * stride)
        return Matrix(pointer, rows: rows, cols: cols, stride: stride)
    }

    package func ints(_ count: Int) -> UnsafeMutablePointer<Int32> {
        bytes(count * 4).bindMemory(to: Int32.self, capacity: count)
    }

    /// Runs `body` and gives back everything it took.
    @inline(__always)
    package func scoped<Result>(_ body: () -> Result) -> Result {
        let (depth, used, total) = (chunks.count, chunks[chunks.count - 1].used, inUse)
        let result = body()
        // Added chunks stay until `reset`: views of them may not be held, but their pages are worth keeping.
        for index in depth..<chunks.count { chunks[index].used = 0 }
        if depth == chunks.count { chunks[depth - 1].used = used }
        inUse = total
        return result
    }

    /// Forgets everything that was taken.
    package func reset() {
        if chunks.count > 1 {
            let total = capacity
            chunks.removeAll(keepingCapacity: true)
            chunks.append(Chunk(memory: MappedMemory.reserve(total)))
        }
        chunks[0].used = 0
        inUse = 0
    }
}
