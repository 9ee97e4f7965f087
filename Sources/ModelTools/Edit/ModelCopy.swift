import Foundation
package import GGUF

/// Writes a model file anew: the tensors bit for bit, under metadata and names that may be others, in one file or in
/// parts.
///
/// Tensor data goes from the mapped source to the target in pieces, so memory does not grow with the file.
package struct ModelCopy {
    /// Called with the bytes written so far and those of all tensors; false stops.
    package typealias Progress = (Int, Int) -> Bool

    private let source: GGUFFile
    private let metadata: [(String, GGUFValue)]
    private let tensorNames: [String: String]

    package init(_ edit: ModelEdit, of source: GGUFFile) {
        self.source = source
        metadata = edit.metadata
        tensorNames = edit.tensorNames
    }

    /// A copy in other pieces, with nothing edited.
    package init(_ source: GGUFFile) { self.init(ModelEdit(source), of: source) }

    /// Bytes of all tensors.
    package var tensorBytes: Int { source.tensors.reduce(0) { $0 + $1.byteCount } }

    /// Writes one file, which appears under its name when it is complete.
    /// - Throws: `EditError.inPlace`, `.cancelled`, `GGUFError`. Nothing is left behind then.
    package func write(to path: String, progress: @escaping Progress = { _, _ in true }) throws {
        try refuseSource(path)
        try writer(progress).write(to: path)
    }

    /// The parts that ``write(splitPrefix:rule:progress:)`` would write.
    /// - Throws: `GGUFError.tooMany`.
    package func parts(splitPrefix prefix: String, rule: GGUFSplitRule) throws -> [GGUFSplitPart] {
        try writer { _, _ in true }.parts(splitPrefix: prefix, rule: rule)
    }

    /// Writes a split file; the parts appear together when all are complete.
    /// - Throws: as `write(to:)`.
    package func write(
        splitPrefix prefix: String, rule: GGUFSplitRule, progress: @escaping Progress = { _, _ in true }
    ) throws -> [GGUFSplitPart] {
        let writer = try writer(progress)
        for part in try writer.parts(splitPrefix: prefix, rule: rule) { try refuseSource(part.path) }
        return try writer.write(splitPrefix: prefix, rule: rule)
    }

    private func writer(_ progress: @escaping Progress) throws(GGUFError) -> GGUFWriter {
        var writer = GGUFWriter(metadata: metadata)
        let total = tensorBytes
        let done = Counter()
        for tensor in source.tensors {
            try writer.add(
                tensor: tensorNames[tensor.name] ?? tensor.name, dimensions: tensor.dimensions, type: tensor.type
            ) { sink in
                for start in stride(from: 0, to: tensor.bytes.count, by: Self.pieceBytes) {
                    let end = min(start + Self.pieceBytes, tensor.bytes.count)
                    try sink(UnsafeRawBufferPointer(rebasing: tensor.bytes[start..<end]))
                    done.value += end - start
                    guard progress(done.value, total) else { throw EditError.cancelled }
                }
            }
        }
        return writer
    }

    private func refuseSource(_ path: String) throws(EditError) {
        if source.partPaths.contains(where: { FileIdentity.isSame($0, path) }) { throw .inPlace(path) }
    }

    private static let pieceBytes = 4 << 20

    private final class Counter {
        var value = 0
    }
}
