/// Byte strings of tokens as a tree in depth-first order: a walk that skips what cannot match goes forward only.
struct TokenTrie: Sendable {
    struct Node: Sendable {
        /// The node after this one's descendants.
        var end: Int32
        /// The token that ends here, -1 for none, below that: `-2 - n` for the tokens of `shared[n]`.
        var token: Int32
        /// 1 for the first byte.
        var depth: UInt16
        var byte: UInt8
    }

    private(set) var nodes: [Node] = []
    /// Tokens with the same bytes.
    private(set) var shared: [[Int32]] = []
    private(set) var longest = 0

    /// - Parameters:
    ///   - tokens: in the order of their bytes.
    ///   - bytes: the bytes of a token, at most 65535.
    init(_ tokens: [Int32], bytes: (Int32) -> ArraySlice<UInt8>) {
        var open: [Int] = []
        var before: ArraySlice<UInt8> = []
        func close(to depth: Int) {
            while open.count > depth { nodes[open.removeLast()].end = Int32(nodes.count) }
        }
        for token in tokens {
            let text = bytes(token)
            let common = zip(before, text).prefix { $0 == $1 }.count
            if common == text.count, common == before.count, let last = open.last {
                let first = nodes[last].token
                if first >= 0 {
                    nodes[last].token = Int32(-2 - shared.count)
                    shared.append([first, token])
                } else {
                    shared[Int(-2 - first)].append(token)
                }
                continue
            }
            close(to: common)
            for (place, byte) in text.enumerated().dropFirst(common) {
                open.append(nodes.count)
                nodes.append(Node(end: 0, token: -1, depth: UInt16(place + 1), byte: byte))
            }
            nodes[nodes.count - 1].token = token
            longest = max(longest, text.count)
            before = text
        }
        close(to: 0)
    }
}

extension TokenMask {
    @inline(__always)
    mutating func insert(_ token: Int32) { words[Int(token) >> 6] |= 1 << UInt64(token & 63) }

    var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    /// The tokens in the set.
    var tokens: [Int32] {
        var result: [Int32] = []
        for (index, word) in words.enumerated() {
            var rest = word
            while rest != 0 {
                result.append(Int32(64 * index + rest.trailingZeroBitCount))
                rest &= rest - 1
            }
        }
        return result
    }
}
