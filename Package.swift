// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "infer",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "InferKit", targets: ["InferKit"]),
        .library(name: "InferServer", targets: ["InferServer"]),
        // For the micro-benchmarks in Benchmarks/ only; the C interface may change with every version.
        .library(name: "CKernels", targets: ["CKernels"]),
        .executable(name: "infer", targets: ["InferCLI"]),
    ],
    traits: [
        // Not on by default, so that who uses InferKit alone never resolves a web server.
        .trait(name: "Server", description: "HTTP: InferServer answers requests, and infer has `serve`.")
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
    ],
    targets: [
        // C holds the block layouts and the innermost SIMD loops, nothing else.
        .target(name: "CKernels"),
        .systemLibrary(
            name: "COpenBLAS",
            providers: [.apt(["libopenblas-dev", "liblapacke-dev"]), .brew(["openblas", "lapack"])]),
        .target(name: "GGUF"),
        .target(name: "Tokenization", dependencies: ["GGUF"]),
        .target(name: "ChatTemplates"),
        .target(name: "Engine", dependencies: ["CKernels", "GGUF"], exclude: ["Models/README.md"]),
        .target(name: "InferKit", dependencies: ["Engine", "Tokenization", "ChatTemplates", "GGUF"]),
        .target(
            name: "InferServer",
            dependencies: [
                "InferKit", "Engine", "Tokenization", "ChatTemplates", "GGUF",
                .product(name: "Hummingbird", package: "hummingbird", condition: .when(traits: ["Server"])),
            ],
            // The page to chat with becomes part of the program.
            resources: [
                "chat.html", "chat.css", "dom.js", "highlight.js", "symbols.js", "math.js", "inline.js", "markdown.js",
                "store.js", "answer.js", "view.js", "app.js",
            ].map { .embedInCode("Page/\($0)") }),
        .target(
            name: "ModelTools", dependencies: ["Engine", "Tokenization", "ChatTemplates", "GGUF", "COpenBLAS"]),
        .executableTarget(
            name: "InferCLI",
            dependencies: [
                "InferKit", "InferServer", "Engine", "ModelTools", "Tokenization", "ChatTemplates", "GGUF",
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
            name: "ModelToolsTests",
            dependencies: ["ModelTools", "Engine", "Tokenization", "ChatTemplates", "GGUF", "TestSupport"]),
        .testTarget(
            name: "InferKitTests",
            dependencies: ["InferKit", "Engine", "Tokenization", "ChatTemplates", "GGUF", "TestSupport"]),
        .testTarget(
            name: "InferServerTests", dependencies: ["InferServer", "InferKit", "ChatTemplates", "TestSupport"]),
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
