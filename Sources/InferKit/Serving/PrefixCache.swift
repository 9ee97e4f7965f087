import Engine

/// Beginnings of prompts that are computed already, shared by all conversations of a model.
///
/// A tree: each node holds a run of tokens that follows its parent's, their keys and values, and perhaps a checkpoint
/// of the state behind the last of them. Layers with keys and values can go on from any token of a node; a recurrent
/// state or a window has no past, so with such layers only nodes that hold a checkpoint are places to go on from. Two
/// prompts that begin alike share nodes. Within a budget of bytes; what saves the least work per byte goes first.
///
/// Not Sendable: it belongs to the scheduler's thread.
final class PrefixCache {
    final class Node {
        let tokens: [Int32]
        /// Position of the first of them.
        let start: Int
        let memory: MappedMemory?
        fileprivate(set) var checkpoint: StateCheckpoint?
        fileprivate(set) weak var parent: Node?
        fileprivate(set) var children: [Node] = []
        /// Names this node and all before it; see ``CacheFolder``.
        let key: UInt64
        fileprivate var hits = 0
        fileprivate var lastUse = 0

        var end: Int { start + tokens.count }

        init(
            _ tokens: [Int32], start: Int, memory: MappedMemory?, checkpoint: StateCheckpoint?, parent: Node?,
            key: UInt64
        ) {
            self.tokens = tokens
            self.start = start
            self.memory = memory
            self.checkpoint = checkpoint
            self.parent = parent
            self.key = key
        }
    }

    /// A beginning that can be gone on from.
    struct Match {
        var count = 0
        /// From the root's child on.
        var path: [Node] = []
    }

    /// Nodes end where a multiple of this does, so that prompts that part ways duplicate little.
    static let nodeTokens = 256
    /// What is quicker to compute than to keep.
    static let leastTokens = 8

    let layout: StateLayout
    let budget: Int
    private let checkpointBytes: Int
    private(set) var bytes = 0
    private let root: Node
    private var clock = 0
    private let folder: CacheFolder?

    /// - Parameters:
    ///   - checkpointBytes: the size of each ``StateCheckpoint``.
    ///   - folder: where nodes are kept beyond the end of the program, and found again.
    init(_ layout: StateLayout, checkpointBytes: Int, budget: Int, folder: CacheFolder? = nil) {
        self.layout = layout
        self.checkpointBytes = checkpointBytes
        self.budget = max(budget, 0)
        self.folder = folder
        root = Node([], start: 0, memory: nil, checkpoint: nil, parent: nil, key: folder?.fingerprint ?? 0)
        folder?.load(layout, checkpointBytes: checkpointBytes, budget: self.budget) { stored in adopt(stored) }
        evict()
    }

    // MARK: Finding

    /// The longest known beginning of `tokens`, at most `limit` of them.
    func longestMatch(_ tokens: [Int32], limit: Int) -> Match {
        var best: (count: Int, node: Node)?
        var open = [root]
        while let node = open.popLast() {
            for child in node.children {
                let common = Self.common(child.tokens, tokens[child.start..<max(child.start, min(tokens.count, limit))])
                guard common > 0 else { continue }
                let isWhole = common == child.tokens.count
                if !layout.needsCheckpoints || isWhole && child.checkpoint != nil,
                    child.start + common > best?.count ?? 0
                {
                    best = (child.start + common, child)
                }
                if isWhole { open.append(child) }
            }
        }
        guard let best, best.count >= Self.leastTokens else { return Match() }
        var path = [best.node]
        while let parent = path.last?.parent, parent !== root { path.append(parent) }
        return Match(count: best.count, path: path.reversed())
    }

    private static func common(_ a: [Int32], _ b: ArraySlice<Int32>) -> Int {
        var count = 0
        var index = b.startIndex
        while count < a.count, index < b.endIndex, a[count] == b[index] {
            count += 1
            index += 1
        }
        return count
    }

    /// Makes an empty state the beginning that was found.
    func restore(_ match: Match, into state: SequenceState) {
        clock += 1
        for node in match.path {
            if let memory = node.memory { state.pasteCache(memory, at: node.start..<node.end) }
            node.hits += 1
            node.lastUse = clock
        }
        state.adopt(count: match.count, checkpoint: match.path.last?.checkpoint)
    }

    // MARK: Adding

    /// Remembers the state of a sequence that holds exactly `tokens`.
    func insert(_ tokens: [Int32], from state: SequenceState) {
        precondition(state.count == tokens.count)
        guard tokens.count >= Self.leastTokens, budget > 0 else { return }
        clock += 1
        var node = root
        var lastCheckpoint = 0
        while node.end < tokens.count {
            let rest = tokens[node.end...]
            if let child = node.children.filter({ rest.starts(with: $0.tokens) }).max(by: { $0.end < $1.end }) {
                node = child
                node.lastUse = clock
                if node.checkpoint != nil { lastCheckpoint = node.end }
                continue
            }
            if !layout.needsCheckpoints, node.children.contains(where: { $0.tokens.starts(with: rest) }) { break }
            // A few tokens more than what is known are not worth a node.
            let known = layout.needsCheckpoints ? lastCheckpoint : node.end
            guard tokens.count - known >= Self.leastTokens else { break }
            let end = min(tokens.count, (node.end / Self.nodeTokens + 1) * Self.nodeTokens)
            guard let child = makeNode(Array(tokens[node.end..<end]), behind: node, from: state) else { break }
            node = child
        }
        if layout.needsCheckpoints, node.end == tokens.count, node.checkpoint == nil {
            node.checkpoint = state.copyCheckpoint()
            bytes += node.checkpoint?.memory.count ?? 0
        }
        // From the end, so that a file is only written once its content is known.
        var unsaved: Node? = node
        while let saved = unsaved, saved !== root {
            folder?.save(saved)
            unsaved = saved.parent
        }
        evict()
    }

    private func makeNode(_ tokens: [Int32], behind parent: Node, from state: SequenceState) -> Node? {
        var memory: MappedMemory?
        if layout.bytesPerToken > 0 {
            memory = state.copyCache(of: parent.end..<parent.end + tokens.count)
            if memory == nil { return nil }
        }
        let node = Node(
            tokens, start: parent.end, memory: memory, checkpoint: nil, parent: parent,
            key: CacheFolder.key(of: tokens, behind: parent.key))
        add(node)
        return node
    }

    private func add(_ node: Node) {
        node.lastUse = clock
        node.parent?.children.append(node)
        bytes += size(of: node)
    }

    /// - Returns: whether it belongs into this tree.
    private func adopt(_ stored: CacheFolder.StoredNode) -> Bool {
        guard let parent = node(stored.parentKey, end: stored.start) else { return false }
        add(
            Node(
                stored.tokens, start: stored.start, memory: stored.memory, checkpoint: stored.checkpoint,
                parent: parent,
                key: stored.key))
        return true
    }

    private func node(_ key: UInt64, end: Int) -> Node? {
        var found: Node?
        forEachNode(andRoot: true) { if $0.key == key, $0.end == end { found = $0 } }
        return found
    }

    // MARK: Letting go

    private func size(of node: Node) -> Int {
        (node.memory?.count ?? 0) + (node.checkpoint?.memory.count ?? 0) + node.tokens.count * 4
    }

    private func evict() {
        while bytes > budget {
            var worst: (node: Node, usefulness: Double)?
            forEachNode { node in
                guard node.children.isEmpty || node.checkpoint != nil else { return }
                let value = usefulness(of: node)
                if value < worst?.usefulness ?? .infinity { worst = (node, value) }
            }
            guard let node = worst?.node else { return }
            if node.children.isEmpty {
                bytes -= size(of: node)
                node.parent?.children.removeAll { $0 === node }
                folder?.remove(node)
            } else {
                // Others go on from behind it: only its own state can be spared.
                bytes -= checkpointBytes
                node.checkpoint = nil
                folder?.save(node)
            }
        }
    }

    /// Tokens that need not be computed again, times how often that helped, per byte and age.
    private func usefulness(of node: Node) -> Double {
        var saved = node.tokens.count
        var freed = size(of: node)
        if layout.needsCheckpoints {
            guard node.checkpoint != nil else { return 0 }
            var before = node.parent
            while let other = before, other.checkpoint == nil { before = other.parent }
            saved = node.end - (before?.end ?? 0)
            if !node.children.isEmpty { freed = checkpointBytes }
        }
        let age = clock - node.lastUse + 1
        return Double(saved * (node.hits + 1)) / (Double(max(freed, 1)) * Double(age))
    }

    private func forEachNode(andRoot: Bool = false, _ body: (Node) -> Void) {
        var stack = andRoot ? [root] : root.children
        while let node = stack.popLast() {
            body(node)
            stack += node.children
        }
    }

    /// Writes out what has not been written yet.
    func saveAll() {
        guard let folder else { return }
        forEachNode { folder.save($0, waits: true) }
        folder.flush()
    }
}
