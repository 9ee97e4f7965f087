// swift-tools-version: 6.3
import PackageDescription

// A program of somebody else that has several sessions of one model. A package of its own, so that another checkout's
// library can be measured with the same program: INFER_CHECKOUT names its folder.
let package = Package(
    name: "sessions",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "infer", path: Context.environment["INFER_CHECKOUT"] ?? "../..")
    ],
    targets: [.executableTarget(name: "sessions", dependencies: [.product(name: "InferKit", package: "infer")])],
    swiftLanguageModes: [.v6]
)
