# Makes of a Deployment the Job that migrates: the same pod with the new image, another command, once.
# Arguments: container, image, environment (objects of name and value).
(.spec.template.spec.containers[] | select(.name == $container)) as $app
| {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {generateName: "\(.metadata.name)-migrate-"},
    spec: {
      activeDeadlineSeconds: 600,
      backoffLimit: 0,
      ttlSecondsAfterFinished: 3600,
      template: {
        spec: (
          .spec.template.spec
          | del(.topologySpreadConstraints)
          | .restartPolicy = "Never"
          | .containers = [
              $app
              | del(.lifecycle, .livenessProbe, .ports, .readinessProbe, .startupProbe)
              | .image = $image
              | .args = ["migrate"]
              | .env = ([.env[]? | select(.name | IN($environment[].name) | not)] + $environment)
            ]
        )
      }
    }
  }
