// swift-tools-version: 6.3
import PackageDescription

// A program of somebody else that uses the library: nothing but the path differs from a real one.
let package = Package(
    name: "Embedding",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "infer", path: "../..")],
    targets: [
        .executableTarget(name: "Embedding", dependencies: [.product(name: "InferKit", package: "infer")])
    ],
    swiftLanguageModes: [.v6]
)
