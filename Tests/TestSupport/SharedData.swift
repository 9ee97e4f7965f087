package import Foundation

/// Reference data that is not part of the repository. Tests that need it are enabled by the environment:
/// `INFER_GOLDENS` (toy models with reference logits) and `INFER_CONFORMANCE` (vocabularies, templates, schemas).
///
///     @Test(.enabled(if: SharedData.goldens != nil)) func …
package enum SharedData {
    package static let goldens = folder("INFER_GOLDENS")
    /// Further families, encoders, image towers and adapters: `INFER_GOLDENS_2`, or `goldens-2` beside `goldens`.
    package static let furtherGoldens: URL? =
        folder("INFER_GOLDENS_2")
        ?? goldens.flatMap { goldens in
            let beside = goldens.deletingLastPathComponent().appending(path: "goldens-2", directoryHint: .isDirectory)
            return FileManager.default.fileExists(atPath: beside.path) ? beside : nil
        }
    package static let conformance = folder("INFER_CONFORMANCE")

    /// The folders of `goldens` whose `model-f32.gguf` (or other first GGUF file) exists, sorted; empty without it.
    package static var goldenNames: [String] {
        goldens.map(goldenNames(in:)) ?? []
    }

    /// The same for any folder of golden models.
    package static func goldenNames(in goldens: URL) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: goldens.path)) ?? []
        return names.filter { !ggufFiles(in: goldens.appending(path: $0)).isEmpty }.sorted()
    }

    /// All GGUF files directly in a folder, sorted by name.
    package static func ggufFiles(in folder: URL) -> [URL] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasSuffix(".gguf") }.sorted().map { folder.appending(path: $0) }
    }

    private static func folder(_ variable: String) -> URL? {
        guard let path = ProcessInfo.processInfo.environment[variable], !path.isEmpty else { return nil }
        return URL(filePath: path, directoryHint: .isDirectory)
    }
}
