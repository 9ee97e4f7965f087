package import Foundation

/// Files of the repository that tests use where they lie.
package enum RepositoryFiles {
    package static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// The trained model that the repository holds.
    package static let model = root.appending(path: "models/fable-moe-q8_0.gguf").path
}
