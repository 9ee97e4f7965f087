import Engine
import Foundation
import GGUF
import Synchronization

/// A folder that mirrors a ``PrefixCache``: one file per node, written behind its back by a thread of its own.
///
/// What it finds at the start may be damaged or come from anywhere. A file counts only if it is a plain file of
/// exactly the size that its head and the model's layout call for, and its checksum is right; others are passed over
/// with a line in the log. Files lie in a folder named after the model's fingerprint, so that those of other models
/// and of versions that compute other bits are never looked at.
///
/// A file, little endian: magic (8 bytes), version, number of tokens (u32 each), fingerprint, key of the parent, own
/// key, position of the first token, bytes of keys and values, bytes of checkpoint (u64 each), then tokens (i32 each),
/// keys and values, checkpoint, and a checksum of all before it (u64).
final class CacheFolder: Sendable {
    struct StoredNode {
        var tokens: [Int32]
        var start: Int
        var memory: MappedMemory?
        var checkpoint: StateCheckpoint?
        var parentKey: UInt64
        var key: UInt64
    }

    static let magic = Array("INFERKV\n".utf8)
    static let version: UInt32 = 2
    static let headBytes = 64
    static let suffix = ".prefix"
    /// Bytes that may wait to be written; what comes beyond is written when the program ends.
    private static let mostPending = 256 << 20

    let fingerprint: UInt64
    private let vocabularySize: Int
    private let contextLength: Int
    private let folder: URL
    private let log: @Sendable (String) -> Void
    private let queue = DispatchQueue(label: "prefix cache", qos: .utility)
    private let state = Mutex(State())

    private struct State {
        /// What each file holds: whether the checkpoint is in it.
        var written: [UInt64: Bool] = [:]
        var pending = 0
    }

    /// - Throws: a description when the folder cannot be made.
    init(
        path: String, fingerprint: UInt64, vocabularySize: Int, contextLength: Int,
        log: @escaping @Sendable (String) -> Void
    ) throws {
        self.fingerprint = fingerprint
        self.vocabularySize = vocabularySize
        self.contextLength = contextLength
        self.log = log
        folder = URL(filePath: path, directoryHint: .isDirectory).appending(
            path: Self.hexadecimal(fingerprint), directoryHint: .isDirectory)
        do {
            try FileManager.default.createDirectory(
                at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw CacheFileError("the folder cannot be made: \(error.localizedDescription)")
        }
    }

    /// The name of a node: what it holds and what is before it.
    static func key(of tokens: [Int32], behind parent: UInt64) -> UInt64 {
        var hash = Checksum(seed: parent)
        tokens.withUnsafeBytes { hash.add($0) }
        return hash.value
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private func url(of key: UInt64) -> URL { folder.appending(path: Self.hexadecimal(key) + Self.suffix) }

    // MARK: Reading

    /// Reads all files, a node always after its parent.
    /// - Parameter accept: whether the node has a place in the tree.
    func load(_ layout: StateLayout, checkpointBytes: Int, budget: Int, accept: (StoredNode) -> Bool) {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
        var nodes: [StoredNode] = []
        var bytes = 0
        for name in names where name.hasSuffix(Self.suffix) {
            do {
                let node = try read(folder.appending(path: name).path, layout, checkpointBytes)
                bytes += (node.memory?.count ?? 0) + (node.checkpoint?.memory.count ?? 0)
                guard bytes <= budget else {
                    log(
                        "prefix cache: \(folder.path) exceeds the budget of \(budget) bytes; not all is read"
                    )
                    break
                }
                nodes.append(node)
            } catch {
                log("prefix cache: \(name) is passed over: \(error)")
            }
        }
        var taken = 0
        for node in nodes.sorted(by: { $0.start < $1.start }) where accept(node) {
            taken += 1
            state.withLock { $0.written[node.key] = node.checkpoint != nil }
        }
        if !nodes.isEmpty { log("prefix cache: \(taken) of \(nodes.count) stored pieces are in use again") }
    }

    private func read(_ path: String, _ layout: StateLayout, _ checkpointBytes: Int) throws(CacheFileError)
        -> StoredNode
    {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        guard attributes?[.type] as? FileAttributeType == .typeRegular, let size = attributes?[.size] as? Int else {
            throw CacheFileError("it is not a plain file")
        }
        let most =
            Self.headBytes + 8 + PrefixCache.nodeTokens * 4
            + layout.mostCacheBytes(positions: PrefixCache.nodeTokens) + checkpointBytes
        guard size >= Self.headBytes + 8, size <= most else {
            throw CacheFileError("it has \(size) bytes, expected \(Self.headBytes + 8) to \(most)")
        }
        guard let data = FileManager.default.contents(atPath: path), data.count == size else {
            throw CacheFileError("it cannot be read")
        }
        // A closure cannot rethrow a typed error here, so the outcome travels as a value.
        return try data.withUnsafeBytes { bytes in
            Result<StoredNode, CacheFileError> { () throws(CacheFileError) in try parse(bytes, layout, checkpointBytes)
            }
        }.get()
    }

    private func parse(
        _ bytes: UnsafeRawBufferPointer, _ layout: StateLayout, _ checkpointBytes: Int
    ) throws(CacheFileError) -> StoredNode {
        func word(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        func half(_ offset: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        guard bytes.prefix(8).elementsEqual(Self.magic) else { throw CacheFileError("it is of another kind") }
        guard half(8) == Self.version else {
            throw CacheFileError("it is of version \(half(8)), expected \(Self.version)")
        }
        guard word(16) == fingerprint else { throw CacheFileError("it belongs to another model") }
        let count = Int(half(12))
        guard (1...PrefixCache.nodeTokens).contains(count), word(40) <= UInt64(contextLength - count) else {
            throw CacheFileError("its \(count) tokens from \(word(40)) on do not fit the context of \(contextLength)")
        }
        let start = Int(word(40))
        let cacheBytes = layout.bytesPerToken > 0 ? layout.cacheBytes(of: start..<start + count) : 0
        guard word(48) == UInt64(cacheBytes), word(56) == 0 || word(56) == UInt64(checkpointBytes) else {
            throw CacheFileError(
                "it holds \(word(48)) and \(word(56)) bytes of state, expected \(cacheBytes) and \(checkpointBytes)")
        }
        let total = Self.headBytes + count * 4 + cacheBytes + Int(word(56))
        guard bytes.count == total + 8 else {
            throw CacheFileError("it has \(bytes.count) bytes, expected \(total + 8)")
        }
        var checksum = Checksum(seed: 0)
        checksum.add(UnsafeRawBufferPointer(rebasing: bytes[..<total]))
        guard word(total) == checksum.value else { throw CacheFileError("its checksum is wrong") }

        let tokens = (0..<count).map { Int32(bitPattern: half(Self.headBytes + $0 * 4)) }
        guard tokens.allSatisfy({ $0 >= 0 && Int($0) < vocabularySize }) else {
            throw CacheFileError("its tokens are not the model's")
        }
        guard word(32) == Self.key(of: tokens, behind: word(24)) else { throw CacheFileError("its key is wrong") }
        func memory(_ range: Range<Int>) throws(CacheFileError) -> MappedMemory? {
            guard !range.isEmpty else { return nil }
            guard let memory = MappedMemory(trying: range.count, hugePages: false) else {
                throw CacheFileError("there is no memory for it")
            }
            memory.pointer.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[range]).baseAddress!, byteCount: range.count)
            return memory
        }
        let body = Self.headBytes + count * 4
        let checkpoint = try memory(body + cacheBytes..<total)
        return StoredNode(
            tokens: tokens, start: start, memory: try memory(body..<body + cacheBytes),
            checkpoint: checkpoint.map { StateCheckpoint(count: start + count, memory: $0) }, parentKey: word(24),
            key: word(32))
    }

    // MARK: Writing

    /// Writes a node's file soon, unless it is there already.
    /// - Parameter waits: also when much is waiting to be written.
    func save(_ node: PrefixCache.Node, waits: Bool = false) {
        let bytes = (node.memory?.count ?? 0) + (node.checkpoint?.memory.count ?? 0)
        let hasCheckpoint = node.checkpoint != nil
        let isWanted = state.withLock { state in
            guard state.written[node.key] != hasCheckpoint, waits || state.pending + bytes <= Self.mostPending else {
                return false
            }
            state.written[node.key] = hasCheckpoint
            state.pending += bytes
            return true
        }
        guard isWanted else { return }
        let stored = StoredNode(
            tokens: node.tokens, start: node.start, memory: node.memory, checkpoint: node.checkpoint,
            parentKey: node.parent?.key ?? fingerprint, key: node.key)
        queue.async { [self] in
            defer { state.withLock { $0.pending -= bytes } }
            do {
                try write(stored)
            } catch {
                log("prefix cache: \(Self.hexadecimal(stored.key)) cannot be written: \(error)")
            }
        }
    }

    func remove(_ node: PrefixCache.Node) {
        guard state.withLock({ $0.written.removeValue(forKey: node.key) }) != nil else { return }
        let url = url(of: node.key)
        queue.async { try? FileManager.default.removeItem(at: url) }
    }

    /// Returns when everything is written.
    func flush() { queue.sync {} }

    private func write(_ node: StoredNode) throws {
        let file = try AtomicFile(path: url(of: node.key).path)
        var checksum = Checksum(seed: 0)
        func put(_ bytes: UnsafeRawBufferPointer) throws {
            checksum.add(bytes)
            try file.write(bytes)
        }
        var head = Self.magic
        func append(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { head += $0 } }
        append(Self.version)
        append(UInt32(node.tokens.count))
        append(fingerprint)
        append(node.parentKey)
        append(node.key)
        append(UInt64(node.start))
        append(UInt64(node.memory?.count ?? 0))
        append(UInt64(node.checkpoint?.memory.count ?? 0))
        for token in node.tokens { append(token) }
        try head.withUnsafeBytes(put)
        if let memory = node.memory { try put(memory.rawBytes) }
        if let checkpoint = node.checkpoint { try put(checkpoint.memory.rawBytes) }
        try withUnsafeBytes(of: checksum.value.littleEndian) { try file.write($0) }
        try file.commit()
    }
}

/// Why a stored file is passed over.
struct CacheFileError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A checksum against damage, not against forgery: eight bytes at a time, four lanes side by side.
///
/// The result depends on the bytes alone, not on the pieces in which they came. Multiplier: the 64-bit golden ratio
/// (Knuth, "The Art of Computer Programming", 6.4); the last mixing is that of SplitMix64 (Steele, Lea, Flood 2014).
struct Checksum {
    private var lanes: SIMD4<UInt64>
    private var rest: [UInt8] = []
    private var count: UInt64 = 0

    init(seed: UInt64) { lanes = SIMD4(seed, seed ^ 0x9E37_79B9_7F4A_7C15, ~seed, seed &+ 0xD1B5_4A32_D192_ED03) }

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        count &+= UInt64(bytes.count)
        var start = 0
        if !rest.isEmpty {
            start = min(32 - rest.count, bytes.count)
            rest += bytes[..<start]
            guard rest.count == 32 else { return }
            let block = rest
            rest.removeAll(keepingCapacity: true)
            block.withUnsafeBytes { mix($0, at: 0) }
        }
        while start + 32 <= bytes.count {
            mix(bytes, at: start)
            start += 32
        }
        rest += bytes[start...]
    }

    private mutating func mix(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        for lane in 0..<4 {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + lane * 8, as: UInt64.self))
            let product = (lanes[lane] ^ word) &* 0x9E37_79B9_7F4A_7C15
            lanes[lane] = product << 29 | product >> 35
        }
    }

    var value: UInt64 {
        var copy = self
        let padding = [UInt8](repeating: 0, count: 32 - rest.count)
        (rest + padding).withUnsafeBytes { copy.mix($0, at: 0) }
        var result = count
        for lane in 0..<4 {
            result ^= copy.lanes[lane]
            result = (result ^ result >> 30) &* 0xBF58_476D_1CE4_E5B9
            result = (result ^ result >> 27) &* 0x94D0_49BB_1331_11EB
            result ^= result >> 31
        }
        return result
    }
}
