// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "infer",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "InferKit", targets: ["InferKit"]),
        // For the micro-benchmarks in Benchmarks/ only; the C interface may change with every version.
        .library(name: "CKernels", targets: ["CKernels"]),
        .executable(name: "infer", targets: ["InferCLI"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0")
    ],
    targets: [
        // C holds the block layouts and the innermost SIMD loops, nothing else.
        .target(name: "CKernels"),
        .target(name: "GGUF"),
        .target(name: "Tokenization", dependencies: ["GGUF"]),
        .target(name: "ChatTemplates"),
        .target(name: "Engine", dependencies: ["CKernels", "GGUF"], exclude: ["Models/README.md"]),
        .target(name: "InferKit", dependencies: ["Engine", "Tokenization", "ChatTemplates", "GGUF"]),
        .target(name: "ModelTools", dependencies: ["Engine", "Tokenization", "GGUF"]),
        .executableTarget(
            name: "InferCLI",
            dependencies: [
                "InferKit", "Engine", "ModelTools", "Tokenization", "ChatTemplates", "GGUF",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        // Builds model files in memory and finds the shared data folders; used by tests only.
        .target(name: "TestSupport", dependencies: ["GGUF"], path: "Tests/TestSupport"),
        // Counts heap allocations; used by tests only.
        .target(name: "CAllocationProbe", path: "Tests/CAllocationProbe"),
        .testTarget(name: "GGUFTests", dependencies: ["GGUF", "TestSupport"]),
        .testTarget(name: "TokenizationTests", dependencies: ["Tokenization", "GGUF", "TestSupport"]),
        .testTarget(name: "ChatTemplatesTests", dependencies: ["ChatTemplates"]),
        .testTarget(
            name: "EngineTests", dependencies: ["Engine", "CKernels", "CAllocationProbe", "GGUF", "TestSupport"]),
        .testTarget(
            name: "ModelToolsTests", dependencies: ["ModelTools", "Engine", "Tokenization", "GGUF", "TestSupport"]),
        .testTarget(
            name: "InferKitTests",
            dependencies: ["InferKit", "Engine", "Tokenization", "ChatTemplates", "GGUF", "TestSupport"]),
        .testTarget(
            name: "InferCLITests",
            dependencies: [
                "InferCLI", "InferKit", "ChatTemplates", "Engine", "Tokenization", "GGUF", "TestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets where target.type != .system {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ]
}
